"""Webhooks from the change to a real receiver: signed, once, tried again, and booked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.webhook import RETRY_AFTER, Webhook
from services.routing.apply import apply_decision
from services.routing.forgetting import forget
from services.routing.webhooks import send, send_webhooks, sending_session
from services.storage import audit, deliveries, webhooks
from services.storage.deliveries import Delivery
from services.storage.paging import Page
from services.storage.tables import webhook_deliveries
from services.storage.tables import webhooks as webhooks_table
from tests.integration.api.conftest import Client, define, installed, served
from tests.integration.routing.conftest import eventually
from tests.integration.routing.receiver import SECRET, Receiver, receiving

MESSAGES = webhook_deliveries.c


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with installed(database_url) as engine:
        yield engine


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def hook(engine: AsyncEngine, receiver: Receiver) -> Webhook:
    """A webhook that is told of everything."""
    return await add(engine, receiver.url)


async def add(engine: AsyncEngine, url: str, key: str = "hook", **settings: Any) -> Webhook:
    webhook = Webhook(key=key, url=url, secret=settings.pop("secret", "env:HOOK_SECRET"), **settings)
    async with engine.begin() as connection:
        await webhooks.create(connection, webhook)
    return webhook


async def happen(engine: AsyncEngine, *names: str) -> None:
    """Changes, each in its transaction."""
    for name in names:
        async with engine.begin() as connection:
            await audit.record(
                connection, actor="test", action=name, subject="route/chat", after={"name": name}
            )


async def take(engine: AsyncEngine) -> Delivery | None:
    async with engine.begin() as connection:
        return await deliveries.take(connection)


async def send_one(engine: AsyncEngine, *, try_seconds: float = 10.0) -> None:
    delivery = await take(engine)
    assert delivery is not None
    async with sending_session(try_seconds) as session:
        await send(engine, session, delivery)


async def log(engine: AsyncEngine, key: str = "hook") -> list[Any]:
    """What is known of the messages to a webhook, oldest first."""
    async with engine.connect() as connection:
        return (await deliveries.page(connection, key, Page())).items[::-1]


async def make_due(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.update(webhook_deliveries).values(next_try_at=sa.func.now()))


async def clock(engine: AsyncEngine) -> datetime:
    async with engine.connect() as connection:
        now: datetime = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
        return now


async def test_decisions_and_changes_arrive_signed_and_once(engine: AsyncEngine, receiver: Receiver) -> None:
    async with served(engine) as api:
        await define(api)
        await api.made("/v1/experiments", {"key": "canary", "route": "chat", "treatment": "new"})
        body = {"key": "hook", "url": receiver.url, "secret": "env:HOOK_SECRET"}
        await api.made("/v1/webhooks", body | {"events": ["decision.*", "experiment.start"]})
        sending = asyncio.create_task(send_webhooks(engine, 0.01))
        await api.post("/v1/experiments/canary/start", {"reason": "go"})
        decision = (await api.post("/v1/experiments/canary/rollback", {"reason": "enough"})).body
        await apply_decision(engine, UUID(decision["decision_id"]))

        async def all_delivered() -> bool:
            return await _all_delivered(api)

        await eventually(all_delivered)
        shown = (await api.get("/v1/webhooks/hook/deliveries")).body["items"]
        await stopped(sending)

    assert receiver.types == ["experiment.start", "decision.recorded", "decision.applied"]
    assert set(receiver.tries.values()) == {1}
    start, recorded, applied = (event["data"] for event in receiver.events)
    assert (start["subject"], start["actor"], start["reason"]) == ("experiment/canary", "admin", "go")
    assert start["after"]["treatment_share_bp"] == 500
    for data in (recorded, applied):
        assert data["decision_id"] == decision["decision_id"]
        assert (data["experiment"], data["route"], data["action"]) == ("canary", "chat", "rollback")
        assert "inputs" not in data
    assert (recorded["state"], applied["state"], applied["applied_version"]) == ("recorded", "applied", 3)
    assert {(one["state"], one["tries"], one["last_status"]) for one in shown} == {("delivered", 1, 200)}
    assert {f"msg_{UUID(one['delivery_id']).hex}" for one in shown} == set(receiver.tries)


async def _all_delivered(api: Client) -> bool:
    items = (await api.get("/v1/webhooks/hook/deliveries")).body["items"]
    return len(items) == 3 and all(one["state"] == "delivered" for one in items)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("hook")
async def test_what_was_undone_is_not_told(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await audit.record(connection, actor="test", action="start", subject="experiment/canary")
        await connection.rollback()

    assert await take(engine) is None


async def test_only_who_wants_to_know_is_told(engine: AsyncEngine, receiver: Receiver) -> None:
    await add(engine, receiver.url, "of-a-kind", events=("route.*",))
    await add(engine, receiver.url, "of-one", events=("route.create",))
    await add(engine, receiver.url, "of-others", events=("routes.*", "experiment.*", "route.creates"))
    await add(engine, receiver.url, "of-nothing", enabled=False)

    await happen(engine, "create", "replace")

    told = {key: [one["event"] for one in await log(engine, key)] for key in ("of-a-kind", "of-one")}
    assert told == {"of-a-kind": ["route.create", "route.replace"], "of-one": ["route.create"]}
    assert await log(engine, "of-others") == await log(engine, "of-nothing") == []


@pytest.mark.usefixtures("hook")
async def test_messages_go_in_the_order_of_what_happened(engine: AsyncEngine, receiver: Receiver) -> None:
    names = [f"change-{n}" for n in range(20)]
    async with engine.begin() as connection:
        for name in names[:10]:
            await audit.record(connection, actor="test", action=name, subject="route/chat")
    await happen(engine, *names[10:])

    for _ in names:
        await send_one(engine)

    assert receiver.types == [f"route.{name}" for name in names]


@pytest.mark.usefixtures("hook")
async def test_a_failed_try_is_repeated_later_and_later(engine: AsyncEngine, receiver: Receiver) -> None:
    await happen(engine, "create")
    receiver.answers = [web.Response(status=500, text="broken\0") for _ in RETRY_AFTER]
    for n, pause in enumerate(RETRY_AFTER, start=1):
        await make_due(engine)
        before = await clock(engine)
        await send_one(engine)
        (message,) = await log(engine)
        assert (message["state"], message["tries"], message["last_status"]) == ("waiting", n, 500)
        assert "broken" in message["last_error"]
        assert before + pause <= message["next_try_at"] <= await clock(engine) + pause

    await make_due(engine)
    await send_one(engine)

    (message,) = await log(engine)
    assert (message["state"], message["tries"], message["last_error"]) == ("delivered", 9, None)
    assert list(receiver.tries.values()) == [9], "every try has the id of the first"
    assert receiver.types == ["route.create"]


@pytest.mark.usefixtures("hook")
async def test_after_the_last_try_it_has_failed_and_can_be_sent_again_by_hand(
    engine: AsyncEngine, receiver: Receiver
) -> None:
    await happen(engine, "create")
    receiver.answers = [web.Response(status=503) for _ in range(len(RETRY_AFTER) + 1)]
    for _ in range(len(RETRY_AFTER) + 1):
        await make_due(engine)
        await send_one(engine)
    (message,) = await log(engine)
    assert message["state"] == "failed"
    await make_due(engine)
    assert await take(engine) is None

    async with engine.begin() as connection:
        await deliveries.try_again(connection, "hook", message["delivery_id"])
    await send_one(engine)

    assert (await log(engine))[0]["state"] == "delivered"


@pytest.mark.usefixtures("hook")
async def test_who_does_not_answer_in_time_is_asked_again(engine: AsyncEngine, receiver: Receiver) -> None:
    await happen(engine, "create")
    receiver.answers = [None]

    await send_one(engine, try_seconds=0.1)

    (message,) = await log(engine)
    assert (message["state"], message["last_status"]) == ("waiting", None)
    assert "did not answer within 0.1 s" in message["last_error"]


@pytest.mark.usefixtures("hook")
async def test_a_redirect_is_not_followed(engine: AsyncEngine, receiver: Receiver) -> None:
    await happen(engine, "create")
    receiver.answers = [web.Response(status=307, headers={"Location": receiver.url + "?elsewhere"})]

    await send_one(engine)

    (message,) = await log(engine)
    assert (message["state"], message["last_status"]) == ("waiting", 307)
    assert "redirects are not followed" in message["last_error"]
    assert list(receiver.tries.values()) == [1]


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("env:NOT_SET_ANYWHERE", "is not set where routing runs"),
        ("file:/nowhere/at/all", "cannot be read"),
        ("env:HOME", "openssl rand"),
    ],
)
async def test_without_a_signing_secret_nothing_is_sent(
    engine: AsyncEngine, receiver: Receiver, secret: str, problem: str
) -> None:
    await add(engine, receiver.url, secret=secret)
    await happen(engine, "create")

    await send_one(engine)

    assert not receiver.tries
    assert problem in (await log(engine))[0]["last_error"]


@pytest.mark.usefixtures("receiver")
async def test_who_cannot_be_reached_is_asked_again(engine: AsyncEngine) -> None:
    await add(engine, "http://127.0.0.1:1")
    await happen(engine, "create")

    await send_one(engine)

    (message,) = await log(engine)
    assert message["state"] == "waiting"
    assert "cannot be reached" in message["last_error"]


@pytest.mark.usefixtures("hook")
async def test_many_senders_send_each_message_once_and_one_at_a_time(
    engine: AsyncEngine, receiver: Receiver
) -> None:
    names = [f"n-{n}" for n in range(40)]
    receiver.takes_seconds = 0.005
    await happen(engine, *names)
    sending = [asyncio.create_task(send_webhooks(engine, 0.001)) for _ in range(4)]

    async def everything_came() -> bool:
        return {one["state"] for one in await log(engine)} == {"delivered"}

    await eventually(everything_came)
    for task in sending:
        await stopped(task)

    assert receiver.types == [f"route.{name}" for name in names]
    assert set(receiver.tries.values()) == {1}
    assert receiver.most_under_way == 1


async def test_one_that_hangs_holds_up_nobody(engine: AsyncEngine, receiver: Receiver) -> None:
    async with receiving() as hanging:
        hanging.answers = [None] * 100
        await add(engine, hanging.url, "hanging")
        await add(engine, receiver.url)
        await happen(engine, *(f"n-{n}" for n in range(20)))
        sending = asyncio.create_task(send_webhooks(engine, 0.01))

        async def everything_came() -> bool:
            return len(receiver.types) == 20

        await eventually(everything_came)
        async with engine.begin() as connection:
            await webhooks.delete(connection, "hanging")
        await stopped(sending)

    assert sum(hanging.tries.values()) == 1


@pytest.mark.usefixtures("hook")
async def test_a_sender_that_died_gives_its_message_back(engine: AsyncEngine) -> None:
    await happen(engine, "create", "replace")
    lost = await take(engine)
    assert lost is not None
    assert await take(engine) is None, "its webhook is taken"
    async with engine.begin() as connection:
        await connection.execute(sa.update(webhooks_table).values(busy_until=sa.func.now()))

    await send_one(engine)
    async with engine.begin() as connection:  # the one that seemed to have died comes too late
        await deliveries.book_failed(connection, lost, status=None, error="late", next_try_after=None)

    first, _ = await log(engine)
    assert (first["state"], first["tries"], first["last_error"]) == ("delivered", 2, None)


async def test_disabled_ones_wait(engine: AsyncEngine, hook: Webhook, receiver: Receiver) -> None:
    await happen(engine, "create")
    disabled = Webhook(key="hook", url=receiver.url, secret="env:HOOK_SECRET", enabled=False)
    async with engine.begin() as connection:
        await webhooks.update(connection, disabled)

    await happen(engine, "replace")

    assert await take(engine) is None
    async with engine.begin() as connection:
        await webhooks.update(connection, hook)
    await send_one(engine)
    assert receiver.types == ["route.create"]


@pytest.mark.usefixtures("hook")
async def test_what_is_old_is_forgotten(engine: AsyncEngine) -> None:
    await happen(engine, *(f"n-{n}" for n in range(5)))
    old = sa.func.now() - deliveries.KEPT_FOR - sa.text("interval '1 minute'")
    async with engine.begin() as connection:
        events = ("route.n-0", "route.n-3")
        await connection.execute(
            sa.update(webhook_deliveries).where(MESSAGES.event.in_(events)).values(created_at=old)
        )

    assert await forget(engine) == 2
    assert await forget(engine) == 0
    assert [one["event"] for one in await log(engine)] == ["route.n-1", "route.n-2", "route.n-4"]
