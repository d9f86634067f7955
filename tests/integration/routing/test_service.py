"""The routing service as it runs: from a recorded decision to the gateways' configuration."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.canary import CanaryPlan
from services.domain.configuration import RouteConfig
from services.domain.decision import Decision
from services.domain.errors import InstallationMismatch
from services.domain.experiment import Experiment
from services.messaging.codec import decode_config
from services.messaging.consumer import read_topic
from services.messaging.records import decision_record
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames
from services.routing.app import serve
from services.routing.settings import RoutingSettings
from services.storage import decisions, experiments, outbox
from services.storage.settings import DatabaseSettings
from services.storage.tables import allocations, audit
from services.storage.tables import decisions as decisions_table
from services.storage.tables import outbox as outbox_table
from tests.integration.routing.conftest import eventually, start_canary
from tests.integration.routing.test_apply import decision


@asynccontextmanager
async def routing(
    kafka: KafkaSettings, database: DatabaseSettings, *, sweep_seconds: float = 3_600.0
) -> AsyncIterator[None]:
    """The service in this process; by default it sweeps only once, at its start."""
    stop = asyncio.Event()
    settings = RoutingSettings(routing_sweep_seconds=sweep_seconds)
    running = asyncio.create_task(serve(settings, kafka, database, stop))
    test = asyncio.current_task()
    assert test is not None
    running.add_done_callback(lambda _: stop.is_set() or test.cancel("routing ended early"))
    try:
        yield
    finally:
        stop.set()
        await running


async def record(engine: AsyncEngine, one: Decision, *, announce: bool = True) -> Decision:
    async with engine.begin() as connection:
        assert await decisions.record(connection, one)
        if announce:
            await outbox.add(connection, *decision_record(one.event))
    return one


async def settled(engine: AsyncEngine, one: Decision) -> Decision:
    """The decision once something has come of it."""

    async def look() -> Decision | None:
        async with engine.connect() as connection:
            found = await decisions.get(connection, one.decision_id)
        return found if found and found.state != "recorded" else None

    return await eventually(look)


async def newest_routes(kafka: KafkaSettings) -> dict[str, RouteConfig]:
    """Every route as a gateway would know it."""
    newest: dict[str, RouteConfig] = {}
    topic = TopicNames(kafka.topic_prefix).config
    for record_ in await read_topic(kafka, topic, isolation_level="read_committed"):
        state = decode_config(record_.value or b"")
        if isinstance(state, RouteConfig) and (
            state.key not in newest or newest[state.key].version < state.version
        ):
            newest[state.key] = state
    return newest


async def test_a_published_decision_is_applied_and_reaches_the_gateways(
    settings: KafkaSettings, database: DatabaseSettings, engine: AsyncEngine, canary: Experiment
) -> None:
    async with routing(settings, database):
        one = await record(engine, decision(canary, "rollback"))
        assert (await settled(engine, one)).state == "applied"

        async def look() -> RouteConfig | None:
            return (await newest_routes(settings)).get("chat")

        state = await eventually(look)
    assert (state.stable, state.experiment) == ("canary-old", None)


@pytest.mark.parametrize("when", ["before it starts", "while it runs"])
async def test_a_decision_whose_event_was_lost_is_applied_too(
    settings: KafkaSettings, database: DatabaseSettings, engine: AsyncEngine, canary: Experiment, when: str
) -> None:
    one = decision(canary, "rollback")
    if when == "before it starts":
        await record(engine, one, announce=False)
    async with routing(settings, database, sweep_seconds=0.05):
        if when == "while it runs":
            await record(engine, one, announce=False)
        assert (await settled(engine, one)).state == "applied"


async def test_an_unreadable_event_stops_nothing(
    settings: KafkaSettings, database: DatabaseSettings, engine: AsyncEngine, canary: Experiment
) -> None:
    async with engine.begin() as connection:
        await outbox.add(connection, "decisions.v1", str(canary.experiment_id).encode(), b"{broken")
    async with routing(settings, database):
        one = await record(engine, decision(canary, "promote"))
        assert (await settled(engine, one)).state == "applied"


async def test_it_refuses_other_topics_than_were_recorded(
    engine: AsyncEngine, settings: KafkaSettings, database: DatabaseSettings
) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE installation SET outcome_partitions = 3"))
    with pytest.raises(InstallationMismatch, match="2 partitions"):
        await serve(RoutingSettings(), settings, database, asyncio.Event())


@contextmanager
def routing_process(kafka: KafkaSettings, database: DatabaseSettings) -> Iterator[None]:
    """The service as a process of its own, which ends by SIGKILL."""
    environment = {
        **os.environ,
        "HEADGATE_KAFKA": kafka.kafka,
        "HEADGATE_TOPIC_PREFIX": kafka.topic_prefix,
        "HEADGATE_DATABASE_URL": database.database_url,
        "HEADGATE_ROUTING_SWEEP_SECONDS": "0.2",
    }
    command = [sys.executable, "-m", "services.cli.main", "routing"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def test_killed_again_and_again_it_applies_each_decision_once(
    settings: KafkaSettings, database: DatabaseSettings, engine: AsyncEngine
) -> None:
    unwatched = CanaryPlan(holdback_share=0.0)
    canaries = [await start_canary(engine, f"canary-{n}", f"route-{n}", unwatched) for n in range(12)]
    actions = ["rollback", "promote", "advance"] * 4
    steps = {"advance": {"next_step": 1, "next_share_bp": 1_000}}
    made = [
        await record(engine, decision(canary, action, **steps.get(action, {})))
        for canary, action in zip(canaries, actions, strict=True)
    ]

    for applied in (1, 4, 8, 12):
        with routing_process(settings, database):
            await eventually(lambda applied=applied: _at_least_applied(engine, applied))  # type: ignore[misc]
    with routing_process(settings, database):
        await eventually(lambda: _nothing_to_publish(engine))

    async with engine.connect() as connection:
        for table, column in ((allocations, allocations.c.decision_id), (audit, audit.c.subject)):
            times = await connection.scalars(
                sa.select(sa.func.count()).select_from(table).where(column.is_not(None)).group_by(column)
            )
            assert list(times) == [1] * 12
        states = [await decisions.get(connection, one.decision_id) for one in made]
        ends = [(await experiments.get(connection, canary.key)).conclusion for canary in canaries]
    assert [(state.state, state.applied_version) for state in states if state] == [("applied", 3)] * 12
    assert ends == ["rolled_back", "promoted", None] * 4
    known = await newest_routes(settings)
    assert [known[canary.route_key].stable for canary in canaries] == [
        canary.canary.treatment if action == "promote" else canary.control
        for canary, action in zip(canaries, actions, strict=True)
    ]


async def _at_least_applied(engine: AsyncEngine, number: int) -> bool:
    query = sa.select(sa.func.count()).where(decisions_table.c.state == "applied")
    async with engine.connect() as connection:
        return int(await connection.scalar(query) or 0) >= number


async def _nothing_to_publish(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return not await connection.scalar(sa.select(sa.func.count()).select_from(outbox_table))
