"""ETag and If-Match: a change is done only to what its caller has seen."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import endpoints
from tests.integration.api.conftest import AB_TEST, ADMIN_KEY, Answer, Client, define_more
from tests.integration.api.waits import until_a_lock_is_waited_for

KEY = {"Authorization": f"Bearer {ADMIN_KEY}"}
ENDPOINT = {"kind": "openai", "base_url": "https://llm.test/v1"}
VARIANT = {"endpoints": ["openai"], "model": "m"}
METRIC = {"source": "feedback:solved", "kind": "proportion", "per": "unit", "better": "higher"}
WEBHOOK = {"url": "https://hooks.test/headgate", "secret": "env:HOOK_SECRET"}
ROUNDS = 25


async def seen(client: Client, path: str) -> str:
    return (await client.get(path)).headers["etag"]


async def change(client: Client, method: str, path: str, tag: str, body: Any = None) -> Answer:
    sent = {} if body is None else {"json": body}
    return await client.call(method, path, headers=KEY | {"If-Match": tag}, **sent)


@pytest.fixture
async def everything(defined: Client) -> Client:
    """One thing of each kind."""
    await define_more(defined)
    await defined.made("/v1/metrics", METRIC | {"key": "solved"})
    await defined.made("/v1/webhooks", WEBHOOK | {"key": "hook"})
    await defined.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
    await defined.made("/v1/experiments", AB_TEST)
    return defined


RESOURCES = [
    "/v1/endpoints/openai",
    "/v1/variants/old",
    "/v1/routes/chat",
    "/v1/metrics/solved",
    "/v1/metrics/cost",
    "/v1/webhooks/hook",
    "/v1/experiments/canary",
]


@pytest.mark.parametrize("path", RESOURCES)
async def test_what_is_shown_of_one_thing_has_a_strong_tag(everything: Client, path: str) -> None:
    first, second = await seen(everything, path), await seen(everything, path)

    assert first == second
    assert first.startswith('"')


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/endpoints/openai", ENDPOINT | {"model": "other"}),
        ("POST", "/v1/endpoints/openai/drain", None),
        ("PUT", "/v1/variants/old", VARIANT),
        ("PUT", "/v1/metrics/solved", METRIC | {"per": "request"}),
        ("DELETE", "/v1/metrics/solved", None),
        ("PUT", "/v1/webhooks/hook", WEBHOOK | {"enabled": False}),
        ("DELETE", "/v1/webhooks/hook", None),
        ("POST", "/v1/experiments/canary/start", {"reason": "go"}),
    ],
)
async def test_a_change_of_what_was_not_seen_is_refused(
    everything: Client, method: str, path: str, body: Any
) -> None:
    trail = (await everything.get("/v1/audit")).body

    for stale in ('"0123456789abcdef"', 'W/"0123456789abcdef"', "nonsense"):
        refused = await change(everything, method, path, stale, body)
        assert (refused.status, refused.body["code"]) == (412, "precondition_failed")
        assert "GET it again" in refused.body["detail"]

    assert (await everything.get("/v1/audit")).body == trail, "nothing was done"
    resource = path.removesuffix("/drain").removesuffix("/start")
    tag = await seen(everything, resource)
    done = await change(everything, method, path, f'"another", {tag}', body)
    assert done.status == 200, done.body
    if method != "DELETE":
        assert done.headers["etag"] == await seen(everything, resource) != tag


async def test_any_state_may_be_meant(everything: Client) -> None:
    assert (await change(everything, "PUT", "/v1/variants/old", "*", VARIANT)).status == 200
    assert (await change(everything, "PUT", "/v1/variants/none", "*", VARIANT)).status == 404


async def test_what_is_created_comes_with_its_tag(defined: Client) -> None:
    created = await defined.post("/v1/variants", VARIANT | {"key": "third"})
    assert created.headers["etag"] == await seen(defined, "/v1/variants/third")

    key = await defined.post("/v1/keys", {"label": "checkout"})
    path = f"/v1/keys/{key.body['key_id']}"
    assert key.headers["etag"] == await seen(defined, path), "the key itself is shown only once"
    assert (await change(defined, "DELETE", path, '"0"')).status == 412
    assert (await change(defined, "DELETE", path, key.headers["etag"])).status == 200


async def test_an_experiments_tag_leaves_out_what_is_not_its_own(everything: Client) -> None:
    await everything.post("/v1/experiments/canary/start")
    before = await seen(everything, "/v1/experiments/canary")

    await everything.post("/v1/experiments/test/start")

    assert await seen(everything, "/v1/experiments/canary") == before
    await everything.post("/v1/experiments/canary/share", {"share": 0.3})
    assert await seen(everything, "/v1/experiments/canary") != before


@pytest.mark.parametrize("kind", ["endpoints", "variants", "metrics", "webhooks"])
async def test_of_two_edits_at_once_exactly_one_wins(everything: Client, kind: str) -> None:
    path, edits = {
        "endpoints": ("/v1/endpoints/openai", [ENDPOINT | {"model": "a"}, ENDPOINT | {"model": "b"}]),
        "variants": ("/v1/variants/old", [VARIANT | {"model": "a"}, VARIANT | {"model": "b"}]),
        "metrics": ("/v1/metrics/solved", [METRIC | {"better": "lower"}, METRIC | {"description": "x"}]),
        "webhooks": ("/v1/webhooks/hook", [WEBHOOK | {"enabled": False}, WEBHOOK | {"events": ["route.*"]}]),
    }[kind]
    original = {"endpoints": ENDPOINT, "variants": VARIANT, "metrics": METRIC, "webhooks": WEBHOOK}[kind]
    for _ in range(ROUNDS):
        await everything.put(path, original)
        tag = await seen(everything, path)
        answers = await asyncio.gather(*(change(everything, "PUT", path, tag, body) for body in edits))

        assert sorted(answer.status for answer in answers) == [200, 412]
        (won,) = (answer for answer in answers if answer.status == 200)
        assert (await everything.get(path)).body == won.body


async def test_of_two_verbs_at_once_exactly_one_wins(everything: Client) -> None:
    path = "/v1/experiments/canary"
    await everything.post(f"{path}/start")
    for n in range(ROUNDS):
        tag = await seen(everything, path)
        shares = [(n + 1) / 1000, (n + 1) / 1000 + 0.5]
        answers = await asyncio.gather(
            *(change(everything, "POST", f"{path}/share", tag, {"share": share}) for share in shares)
        )

        assert sorted(answer.status for answer in answers) == [200, 412]
        (won,) = (answer for answer in answers if answer.status == 200)
        assert (await everything.get(path)).body["treatment_share"] == won.body["treatment_share"]


async def test_the_tag_is_compared_under_the_lock(everything: Client, engine: AsyncEngine) -> None:
    tag = await seen(everything, "/v1/endpoints/openai")
    async with engine.begin() as connection:
        held = await endpoints.get(connection, "openai", lock=True)
        waiting = asyncio.create_task(change(everything, "PUT", "/v1/endpoints/openai", tag, ENDPOINT))
        await until_a_lock_is_waited_for(engine)
        await endpoints.update(connection, msgspec.structs.replace(held, weight=7))

    assert (await waiting).status == 412
