"""The OpenAPI document: whatever is sent to any address, the answer is one that the document tells of."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr
from schemathesis import GenerationMode, checks

from services.api.app import serve
from services.api.settings import ApiSettings
from services.embedded.ports import free_port
from services.storage.settings import DatabaseSettings
from tests.integration.api.conftest import ADMIN_KEY, installed

AUTHORIZED = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture(scope="module")
def control_plane(module_database_url: str) -> Iterator[str]:
    """The address of a control plane that serves from a thread of its own."""
    settings_ = ApiSettings(admin_key=SecretStr(ADMIN_KEY), api_port=free_port())
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with installed(module_database_url):
            await serve(settings_, DatabaseSettings(database_url=module_database_url), stop)

    serving = threading.Thread(target=loop.run_until_complete, args=(run(),))
    serving.start()
    url = f"http://127.0.0.1:{settings_.api_port}"
    _await(url)
    yield url
    loop.call_soon_threadsafe(stop.set)
    serving.join()
    loop.close()


def _await(url: str) -> None:
    while True:
        try:
            requests.get(f"{url}/healthz", timeout=10)
        except requests.ConnectionError:
            continue
        return


@pytest.fixture(scope="module")
def document(control_plane: str) -> Any:
    return requests.get(f"{control_plane}/openapi.json", timeout=10).json()


def bodies(document: Any) -> Iterator[tuple[str, str, list[Any]]]:
    """Every address that takes a body, and the examples of it."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                yield method, path, examples(document, content)


def examples(document: Any, content: Any) -> list[Any]:
    if "examples" in content:
        return [one["value"] for one in content["examples"].values()]
    schema = content["schema"]
    names = [one["$ref"].rsplit("/", 1)[1] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
    schemas = (document["components"]["schemas"][name] for name in names)
    return [schema["example"] for schema in schemas if "example" in schema]


def variants_of(experiment: Any) -> list[str]:
    if "treatment" in experiment:
        return [experiment["treatment"]]
    return [one["key"] for one in experiment["variants"]]


@pytest.fixture(scope="module")
def filled(control_plane: str, document: Any) -> str:
    """A control plane where every example of something to create was created."""
    found = {path: known for method, path, known in bodies(document) if method == "post"}
    named = {key for body in found["/v1/experiments"] for key in variants_of(body)}
    small = found["/v1/variants"][0]
    more = [small | {"key": key} for key in sorted(named - {small["key"]})]
    creations = [
        *((path, body) for path in ("/v1/teams", "/v1/endpoints", "/v1/variants") for body in found[path]),
        *(("/v1/variants", body) for body in more),
        *((path, body) for path in ("/v1/routes", "/v1/metrics", "/v1/keys") for body in found[path]),
        *((path, body) for path in ("/v1/webhooks", "/v1/experiments") for body in found[path]),
    ]
    for path, body in creations:
        answer = requests.post(f"{control_plane}{path}", json=body, headers=AUTHORIZED, timeout=10)
        assert answer.status_code == 201, (path, body, answer.text)
    return control_plane


def test_every_body_has_an_example_that_works(filled: str, document: Any) -> None:
    without = [(method, path) for method, path, known in bodies(document) if not known]
    assert without == []
    for path, body in [(p, one) for _, p, known in bodies(document) if "dry-run" in p for one in known]:
        answer = requests.post(f"{filled}{path}", json=body, headers=AUTHORIZED, timeout=10)
        assert answer.status_code == 200, answer.text


def test_every_address_tells_of_its_headers(document: Any) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
            assert ("Idempotency-Key" in named) == (method == "post"), (method, path)
            assert ("If-Match" in named) >= (method in ("put", "patch", "delete")), (method, path)


EXAMPLES = settings(max_examples=10, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
KEYS = {
    "teams": ("checkout",),
    "endpoints": ("openai-main",),
    "variants": ("small-model", "new-model"),
    "routes": ("chat",),
    "metrics": ("solved", "cost"),
    "webhooks": ("on-call",),
    "experiments": ("chat-new-model", "chat-short-prompt"),
}


@pytest.fixture(scope="module")
def api_schema(filled: str) -> Any:
    schema = schemathesis.openapi.from_url(f"{filled}/openapi.json")
    made = requests.get(f"{filled}/v1/keys", headers=AUTHORIZED, timeout=10).json()["items"]
    known = KEYS | {"keys": tuple(one["key_id"] for one in made)}

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        """Ask mostly for what is there: of something else one only learns that it is not."""
        kind = context.operation.path.split("/")[2] if context.operation.path.startswith("/v1/") else ""
        name = "key_id" if kind == "keys" else "key"
        key = (path_parameters or {}).get(name)
        if isinstance(key, str) and kind in known and len(key) % 4:
            return path_parameters | {name: known[kind][len(key) % len(known[kind])]}
        return path_parameters

    return schema


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """Keeps connections: a new one for each request takes longer than the request."""
    with requests.Session() as session:
        yield session


CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_tells_of(
    api_schema: Any, session: requests.Session, subtests: pytest.Subtests, mode: GenerationMode
) -> None:
    """With bodies and parameters that follow the document, and with such that do not."""
    for found in api_schema.get_all_operations():
        operation = found.ok()
        if "/v1/" not in operation.path and mode is GenerationMode.NEGATIVE:
            continue

        @settings(EXAMPLES)
        @given(operation.as_strategy(generation_mode=mode))
        def answered(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(session=session, headers=AUTHORIZED, checks=CHECKS, timeout=30)

        with subtests.test(operation.label):
            answered()
