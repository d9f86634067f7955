"""Several people at once: every change happens one after the other, or says that it came too late."""

import asyncio

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.configuration import Config, RouteConfig
from services.storage import routes, variants
from services.storage.tables import outbox
from tests.integration.api.conftest import Client


async def newest_route(engine: AsyncEngine) -> RouteConfig:
    """The published route with the highest version, as a gateway would keep it."""
    query = sa.select(outbox.c.value).where(outbox.c.key == b"route/chat")
    async with engine.connect() as connection:
        values = (await connection.scalars(query)).all()
    states = [msgspec.json.decode(value, type=Config) for value in values]
    return max((state for state in states if isinstance(state, RouteConfig)), key=lambda one: one.version)


async def test_only_one_of_many_starts_succeeds(defined: Client) -> None:
    keys = [f"canary-{n}" for n in range(6)]
    for key in keys:
        await defined.made("/v1/experiments", {"key": key, "route": "chat", "treatment": "new"})

    answers = await asyncio.gather(*(defined.post(f"/v1/experiments/{key}/start") for key in keys))

    assert sorted(answer.status for answer in answers) == [200, *[409] * 5]


async def test_shares_set_at_once_leave_what_was_published_last(drafted: Client, engine: AsyncEngine) -> None:
    await drafted.post("/v1/experiments/canary/start")
    shares = [n / 100 for n in range(10, 18)]

    answers = await asyncio.gather(
        *(drafted.post("/v1/experiments/canary/share", {"share": share}) for share in shares)
    )

    assert {answer.status for answer in answers} == {200}
    async with engine.connect() as connection:
        allocation = (await routes.get(connection, "chat")).allocation
    state = await newest_route(engine)
    assert state.experiment is not None
    assert state.experiment.treatment_share_bp == allocation.treatment_share_bp
    assert state.allocation_version == allocation.version == 2 + len(shares)


async def test_a_variant_changed_while_a_canary_starts_is_published_or_refused(
    drafted: Client, engine: AsyncEngine
) -> None:
    started, *changed = await asyncio.gather(
        drafted.post("/v1/experiments/canary/start"),
        *(drafted.put("/v1/variants/new", {"endpoints": ["openai"], "model": f"m{n}"}) for n in range(5)),
    )

    assert started.status == 200
    assert {answer.status for answer in changed} <= {200, 409}
    async with engine.connect() as connection:
        stored = await variants.get(connection, "new")
    assert (await newest_route(engine)).variants["new"] == stored


async def test_promote_and_rollback_at_once_are_two_decisions(drafted: Client) -> None:
    await drafted.post("/v1/experiments/canary/start")
    verbs = ["promote", "rollback"] * 3

    answers = await asyncio.gather(*(drafted.post(f"/v1/experiments/canary/{verb}") for verb in verbs))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["decision_id"] for answer in answers}) == 2
