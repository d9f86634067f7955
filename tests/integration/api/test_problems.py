"""What the control plane refuses, and how it says so."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from services.api.app import serve
from services.api.settings import ApiSettings
from services.domain.errors import InvalidDefinition
from services.storage.settings import DatabaseSettings
from tests.integration.api.conftest import ADMIN_KEY, Answer, Client, define, installed, served

JSON = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def client(module_database_url: str) -> AsyncIterator[Client]:
    """One control plane for all tests here: what is refused leaves nothing behind."""
    async with installed(module_database_url) as engine, served(engine) as client:
        await define(client)
        yield client


@pytest.fixture
async def defined(client: Client) -> Client:
    return client


def check_problem(answer: Answer, status: int, code: str) -> None:
    """Every error has the same shape."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body.keys() >= {"type", "title", "status", "detail", "instance"}
    assert answer.body["status"] == status
    assert answer.body["code"] == code
    assert answer.body["type"] == f"urn:headgate:problem:{code}"


async def test_it_does_not_start_where_nobody_could_come_in(database_url: str) -> None:
    settings = ApiSettings(admin_key=SecretStr(""))
    with pytest.raises(InvalidDefinition, match="HEADGATE_ADMIN_KEY"):
        await serve(settings, DatabaseSettings(database_url=database_url), asyncio.Event())


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}])
async def test_without_the_admin_key_nothing_is_read(client: Client, headers: dict[str, str]) -> None:
    answer = await client.call("POST", "/v1/routes", data=b"{not json", headers=headers)

    check_problem(answer, 401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_health_and_documentation_need_no_key(client: Client) -> None:
    assert (await client.get("/healthz", headers={})).body == {"status": "ok"}
    assert (await client.get("/readyz", headers={})).status == 200
    openapi = (await client.get("/openapi.json", headers={})).body
    assert "example" in openapi["components"]["schemas"]["NewABTest"]


async def test_the_documentation_loads_nothing_from_elsewhere(client: Client) -> None:
    for path in ("/docs", "/docs/page.js", "/docs/page.css"):
        async with client.session.get(client.url + path) as response:
            assert response.status == 200
            assert "'none'" in response.headers["content-security-policy"]
            text = await response.text()
            assert "http://" not in text
            assert "https://" not in text


async def test_the_front_door_leads_to_the_documentation(client: Client) -> None:
    async with client.session.get(client.url + "/", allow_redirects=False) as response:
        assert (response.status, response.headers["location"]) == (307, "docs")
    async with client.session.get(client.url + "/") as response:
        assert (response.status, response.url.path) == (200, "/docs")
        assert 'id="contents"' in await response.text()


async def test_every_body_has_an_example(client: Client) -> None:
    openapi = (await client.get("/openapi.json", headers={})).body
    bodies = [
        (path, operation["requestBody"]["content"]["application/json"])
        for path, operations in openapi["paths"].items()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    assert len(bodies) > 15
    for path, body in bodies:
        assert has_example(body, openapi["components"]["schemas"]), path


def has_example(body: dict[str, Any], schemas: dict[str, Any]) -> bool:
    choices = [body["schema"], *body["schema"].get("anyOf", [])]
    named = [schemas[choice["$ref"].rpartition("/")[2]] for choice in choices if "$ref" in choice]
    return "examples" in body or any("example" in schema for schema in named)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/metrics/none",
        "/v1/experiments/none/results",
        "/v1/endpoints/none",
        "/v1/variants/none",
        "/v1/routes/none",
        "/v1/routes/none/allocations",
        "/v1/experiments/none",
        "/v1/experiments/none/decisions",
        "/v1/nothing",
    ],
)
async def test_what_does_not_exist_is_not_found(client: Client, path: str) -> None:
    check_problem(await client.get(path), 404, "not_found")


async def test_a_wrong_method_is_a_problem_too(client: Client) -> None:
    check_problem(await client.call("DELETE", "/v1/routes"), 405, "method_not_allowed")


async def test_a_body_that_is_not_json(client: Client) -> None:
    answer = await client.call("POST", "/v1/routes", data=b"{not json")

    check_problem(answer, 422, "invalid_definition")
    assert answer.body["errors"][0]["field"] == "body"


async def test_an_oversized_body(client: Client) -> None:
    body = io.BytesIO(b" " * (1024 * 1024 + 1))
    check_problem(await client.call("POST", "/v1/routes", data=body), 413, "request_too_large")


async def test_an_oversized_body_of_unknown_length(client: Client) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 65_536

    check_problem(await client.call("POST", "/v1/routes", data=pieces()), 413, "request_too_large")


async def test_a_raw_secret_is_refused_and_not_repeated(client: Client) -> None:
    secret = "sk-live-0123456789"
    body = {"key": "x", "kind": "openai", "base_url": "https://llm.test", "secret": secret}
    answer = await client.post("/v1/endpoints", body)

    check_problem(answer, 422, "invalid_definition")
    assert [error["field"] for error in answer.body["errors"]] == ["secret"]
    assert secret not in str(answer.body)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"plan": {"steps": [0.1, 0.05]}}, "plan.steps[1]"),
        ({"plan": {"steps": []}}, "plan.steps"),
        ({"plan": {"steps": [1.0]}}, "plan.steps[0]"),
        ({"plan": {"steps": ["0.1"]}}, "plan.steps[0]"),
        ({"plan": {"stepz": [0.1]}}, "plan.stepz"),
        ({"plan": {"step_minimum_seconds": -1}}, "plan.step_minimum_seconds"),
        ({"policy": {"alpha_rollback": 1.5}}, "policy.alpha_rollback"),
        ({"policy": {"type": "sequential", "alpha_rollback": "x"}}, "policy.alpha_rollback"),
        ({"policy": {"guardrails": [{"metric": "mood"}]}}, "policy.guardrails[0].metric"),
        ({"policy": {"type": "threshold", "window_minutes": 0}}, "policy.window_minutes"),
        ({"policy": {"type": "guess"}}, "policy.type"),
        ({"policy": []}, "policy"),
        ({"kill_switch": {"error_rate": 0}}, "kill_switch.error_rate"),
        ({"lease_limit_seconds": 1}, "lease_limit_seconds"),
        ({"on_blind": "panic"}, "on_blind"),
        ({"kind": "guess"}, "kind"),
        ({"key": "Not A Key"}, "key"),
        ({"owner": "me"}, "owner"),
    ],
)
async def test_a_bad_experiment_names_the_field(defined: Client, changes: dict[str, Any], field: str) -> None:
    body = {"key": "canary", "route": "chat", "treatment": "new", **changes}
    answer = await defined.post("/v1/experiments", body)

    check_problem(answer, 422, "invalid_definition")
    assert [error["field"] for error in answer.body["errors"]] == [field]


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
async def test_numbers_that_are_none(defined: Client, value: str) -> None:
    body = f'{{"key": "c", "route": "chat", "treatment": "new", "lease_limit_seconds": {value}}}'
    answer = await defined.call("POST", "/v1/experiments", data=body, headers=JSON)

    check_problem(answer, 422, "invalid_definition")
    assert answer.body["errors"][0]["field"] == "lease_limit_seconds"


@pytest.mark.parametrize("value", ["NaN", r'"\u0000"', r'"\ud800"'])
async def test_parameters_that_cannot_be_stored(defined: Client, value: str) -> None:
    body = f'{{"key": "x", "endpoints": ["openai"], "parameters": {{"stop": {value}}}}}'
    answer = await defined.call("POST", "/v1/variants", data=body, headers=JSON)

    check_problem(answer, 422, "invalid_definition")
    assert "parameters" in answer.body["detail"]


async def test_an_address_that_cannot_be_looked_up(client: Client) -> None:
    check_problem(await client.get("/v1/endpoints/%00"), 422, "invalid_definition")


@pytest.mark.parametrize("levels", [51, 300, 900, 5_000, 100_000])
async def test_parameters_that_lie_too_deep(defined: Client, levels: int) -> None:
    nested = "[" * levels + "1" + "]" * levels
    body = f'{{"key": "deep", "endpoints": ["openai"], "parameters": {{"stop": {nested}}}}}'
    answer = await defined.call("POST", "/v1/variants", data=body, headers=JSON)

    assert answer.status in (400, 422)
    assert answer.body["code"] in ("bad_request", "invalid_definition")
    assert (await defined.get("/v1/variants/deep")).status == 404


@pytest.mark.parametrize("value", ["1000000001", "9" * 400, "-1" + "0" * 20])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/endpoints", '"kind": "openai", "base_url": "https://llm.test", "weight": %s', "weight"),
        (
            "/v1/experiments",
            '"route": "chat", "treatment": "new", "lease_limit_seconds": %s',
            "lease_limit_seconds",
        ),
        (
            "/v1/experiments",
            '"route": "chat", "treatment": "new", "plan": {"planned_duration_minutes": %s}',
            "plan.planned_duration_minutes",
        ),
    ],
)
async def test_numbers_that_are_too_large(
    defined: Client, path: str, body: str, field: str, value: str
) -> None:
    content = '{"key": "x", ' + body % value + "}"
    answer = await defined.call("POST", path, data=content, headers=JSON)

    check_problem(answer, 422, "invalid_definition")
    assert [error["field"] for error in answer.body["errors"]] == [field]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data"])
async def test_what_is_not_sent_as_json_is_not_read(defined: Client, content_type: str) -> None:
    headers = JSON | {"Content-Type": content_type}
    answer = await defined.call("POST", "/v1/routes", data=b'{"key": "r", "stable": "old"}', headers=headers)

    assert (answer.status, answer.body["instance"]) == (422, "/v1/routes")


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "DELETE"])
async def test_methods_that_are_not_there(defined: Client, method: str) -> None:
    answer = await defined.call(method, "/v1/routes")

    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/metrics/solved", "DELETE, GET, PUT"),
        ("/v1/routes/chat", "GET"),
        ("/v1/experiments/canary/start", "POST"),
    ],
)
async def test_what_is_allowed_instead_is_every_method_of_the_address(
    client: Client, path: str, allowed: str
) -> None:
    """Starlette names the methods of one of the routes that make up the address."""
    answer = await client.call("PATCH", path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
