"""The publisher makes a new producer whenever one has failed, and goes on until a record is acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, OutOfOrderSequenceNumber

from services.messaging import publisher as publisher_module
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings


class FakeProducer:
    """Fails at what it is told to fail at."""

    def __init__(self, *, start: Exception | None = None, send: Exception | None = None) -> None:
        self._start = start
        self._send = send
        self.sent: list[bytes | None] = []
        self.stopped = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def start(self) -> None:
        if self._start is not None:
            raise self._start

    async def stop(self) -> None:
        self.stopped = True

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0, 1}

    async def send_and_wait(self, _topic: str, value: bytes | None, **_: Any) -> None:
        await self.hold.wait()
        if self._send is not None:
            raise self._send
        self.sent.append(value)


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[FakeProducer]:
    """The producers that will be made, in this order."""
    coming: list[FakeProducer] = []
    made = iter(coming)
    monkeypatch.setattr(publisher_module, "idempotent_producer", lambda *_, **__: next(made))
    monkeypatch.setattr(publisher_module, "RETRY_SECONDS", (0.0,))
    return coming


def publisher() -> Publisher:
    return Publisher(KafkaSettings(), client_id="test")


async def test_a_producer_that_failed_is_never_used_again(producers: list[FakeProducer]) -> None:
    broken, good = FakeProducer(send=OutOfOrderSequenceNumber()), FakeProducer()
    producers += [broken, good]
    sending = publisher()
    with pytest.raises(OutOfOrderSequenceNumber):
        await sending.send("topic", b"1")
    assert sending.state == "down"
    await sending.send("topic", b"2")
    assert sending.state == "connected"
    assert good.sent == [b"2"]
    assert not good.stopped
    await sending.stop()
    assert (broken.stopped, good.stopped) == (True, True)


async def test_delivery_goes_on_until_it_is_acknowledged(producers: list[FakeProducer]) -> None:
    good = FakeProducer()
    producers += [
        FakeProducer(start=KafkaConnectionError("nobody there")),
        FakeProducer(send=KafkaError("gone")),
        good,
    ]
    sending = publisher()
    await sending.deliver("topic", b"1", partition=1)
    assert good.sent == [b"1"]
    assert sending.last_error is None
    await sending.stop()


async def test_several_senders_share_one_producer(producers: list[FakeProducer]) -> None:
    good = FakeProducer()
    producers += [FakeProducer(start=KafkaConnectionError("nobody there")), good]
    sending = publisher()
    await asyncio.gather(*(sending.deliver("topic", str(i).encode()) for i in range(5)))
    assert len(good.sent) == 5
    await sending.stop()


async def test_a_partition_that_does_not_exist_is_an_error(producers: list[FakeProducer]) -> None:
    producers.append(FakeProducer())
    sending = publisher()
    with pytest.raises(KafkaError, match="no partition 7"):
        await sending.send("topic", b"1", partition=7)
    await sending.stop()


async def test_a_broker_that_does_not_answer_shows(
    producers: list[FakeProducer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "SLOW_SECONDS", 0.0)
    slow = FakeProducer()
    slow.hold.clear()
    producers.append(slow)
    sending = publisher()
    task = asyncio.create_task(sending.send("topic", b"1"))
    while sending.state != "down":
        await asyncio.sleep(0)
    slow.hold.set()
    await task
    assert sending.state == "connected"
    await sending.stop()


class FailsWhenTold(FakeProducer):
    """Fails to start once ``hold`` is set."""

    async def start(self) -> None:
        await self.hold.wait()
        raise KafkaConnectionError("nobody there")


@pytest.mark.parametrize("turns", range(5))
async def test_a_delivery_can_be_given_up_in_the_moment_that_it_fails(
    producers: list[FakeProducer], turns: int
) -> None:
    producers += [FailsWhenTold() for _ in range(20)]
    producers[0].hold.clear()
    sending = publisher()
    task = asyncio.create_task(sending.deliver("topic", b"1"))
    for _ in range(5):
        await asyncio.sleep(0)
    producers[0].hold.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    await sending.stop()
    assert producers[0].stopped
