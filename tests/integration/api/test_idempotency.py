"""Idempotency-Key: the same request, sent again, changes nothing more and is answered as the first time."""

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.storage import configuration, idempotency
from services.storage.tables import idempotency_keys
from tests.integration.api.conftest import ADMIN_KEY, Answer, Client
from tests.integration.api.waits import until_a_lock_is_waited_for

VARIANT = {"key": "third", "endpoints": ["openai"], "model": "m"}


async def send(client: Client, path: str, body: Any, key: str = "k-1") -> Answer:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": key}
    return await client.call("POST", path, json=body, headers=headers)


async def subjects(client: Client) -> list[str]:
    return [one["subject"] for one in (await client.get("/v1/audit")).body["items"]]


async def test_a_repeat_is_answered_as_the_first_time(defined: Client) -> None:
    first = await send(defined, "/v1/variants", VARIANT)
    trail = await subjects(defined)
    again = await send(defined, "/v1/variants", VARIANT)

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await subjects(defined) == trail
    assert (await send(defined, "/v1/variants", VARIANT, key='"k-1"')).headers["idempotency-replayed"]
    assert (await send(defined, "/v1/variants", VARIANT, key="k-2")).status == 409


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/variants", VARIANT | {"model": "other"}), ("/v1/metrics", VARIANT)]
)
async def test_the_key_of_another_request_is_refused(defined: Client, path: str, body: Any) -> None:
    await send(defined, "/v1/variants", VARIANT)

    answer = await send(defined, path, body)

    assert (answer.status, answer.body["code"]) == (422, "idempotency_key_reused")
    assert "POST /v1/variants" in answer.body["detail"]


async def test_an_error_is_not_kept(defined: Client) -> None:
    body = VARIANT | {"endpoints": ["later"]}
    assert (await send(defined, "/v1/variants", body)).status == 422
    await defined.made("/v1/endpoints", {"key": "later", "kind": "openai", "base_url": "https://llm.test"})

    assert (await send(defined, "/v1/variants", body)).status == 201


@pytest.mark.parametrize("n", range(5))
async def test_sent_at_once_it_is_done_once(drafted: Client, n: int) -> None:
    await drafted.post("/v1/experiments/canary/start")
    calls = [
        ("/v1/keys", {"label": f"checkout {n}"}),
        ("/v1/experiments/canary/share", {"share": 0.2}),
        ("/v1/experiments/canary/promote", {"reason": "good"}),
        ("/v1/endpoints/openai/drain", {}),
    ]
    for i, (path, body) in enumerate(calls):
        before = len(await subjects(drafted))
        answers = await asyncio.gather(*(send(drafted, path, body, key=f"once-{i}") for _ in range(6)))

        assert {answer.status for answer in answers} <= {200, 201, 202, 409}
        underway = [answer for answer in answers if answer.status == 409]
        assert {answer.body["code"] for answer in underway} <= {"still_under_way"}
        done = [answer for answer in answers if answer.status < 300]
        assert len([one for one in done if "idempotency-replayed" not in one.headers]) == 1
        assert len(await subjects(drafted)) == before + 1


async def test_while_the_first_is_under_way_the_second_is_told(defined: Client, engine: AsyncEngine) -> None:
    body = {"key": "another", "stable": "old"}
    async with engine.begin() as connection:
        await configuration.hold_routes(connection)
        first = asyncio.create_task(send(defined, "/v1/routes", body))
        await until_a_lock_is_waited_for(engine)
        second = await send(defined, "/v1/routes", body)

    assert (second.status, second.body["code"]) == (409, "still_under_way")
    assert (await first).status == 201
    assert (await send(defined, "/v1/routes", body)).headers["idempotency-replayed"] == "true"


async def test_a_key_of_a_client_is_not_kept(defined: Client, engine: AsyncEngine) -> None:
    first = await send(defined, "/v1/keys", {"label": "checkout"})
    again = await send(defined, "/v1/keys", {"label": "checkout"})

    assert first.body["key"].startswith("hg_")
    assert again.body == first.body | {"key": None}
    async with engine.connect() as connection:
        kept = await connection.scalar(sa.select(idempotency_keys.c.body))
    assert json.loads(kept or b"") == again.body


async def test_after_a_day_a_key_is_free_again(defined: Client, engine: AsyncEngine) -> None:
    await send(defined, "/v1/variants", VARIANT)
    await send(defined, "/v1/variants", VARIANT | {"key": "fourth"}, key="k-2")
    async with engine.begin() as connection:
        aged = sa.func.now() - idempotency.KEPT_FOR - sa.text("interval '1 second'")
        await connection.execute(
            sa.update(idempotency_keys).where(idempotency_keys.c.key == "k-1").values(created_at=aged)
        )

    fifth = await send(defined, "/v1/variants", VARIANT | {"key": "fifth"})
    assert fifth.status == 201
    async with engine.begin() as connection:
        await connection.execute(sa.update(idempotency_keys).values(created_at=aged))
        assert await idempotency.prune(connection) == 2
        assert await idempotency.prune(connection) == 0


async def test_a_change_that_fails_leaves_no_answer(drafted: Client, engine: AsyncEngine) -> None:
    """The answer is in the transaction of the change: Postgres refuses it, and neither is there."""
    async with engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE idempotency_keys ADD CONSTRAINT no CHECK (false)"))

    answer = await send(drafted, "/v1/variants", VARIANT)

    assert answer.status == 500
    assert (await drafted.get("/v1/variants/third")).status == 404


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_a_length(defined: Client, key: str) -> None:
    assert (await send(defined, "/v1/variants", VARIANT, key=key)).status == 422
