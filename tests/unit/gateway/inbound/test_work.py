"""Coroutines that are run without a task, and what they can wait for."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.inbound.work import Work
from services.gateway.wakeup import Wakeup


class Ends:
    """Notes how work ended."""

    def __init__(self) -> None:
        self.errors: list[BaseException | None] = []

    def __call__(self, error: BaseException | None) -> None:
        self.errors.append(error)


async def test_it_runs_to_its_end_at_once_where_nothing_is_to_be_waited_for() -> None:
    async def quick() -> None:
        pass

    ends = Ends()
    Work(quick(), ends).go_on()
    assert ends.errors == [None]


async def test_waking_goes_on_within_the_call() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    seen: list[int] = []

    async def counting() -> None:
        for number in range(3):
            await wakeup
            seen.append(number)

    ends = Ends()
    Work(counting(), ends).go_on()
    for number in range(3):
        assert len(seen) == number
        wakeup.wake()
    assert (seen, ends.errors) == ([0, 1, 2], [None])
    wakeup.wake()


async def test_futures_and_tasks_can_be_waited_for() -> None:
    async def other() -> str:
        await asyncio.sleep(0)
        return "done"

    got: list[str] = []
    ended = asyncio.Event()

    async def waiting() -> None:
        got.append(await asyncio.get_running_loop().create_task(other()))

    Work(waiting(), lambda _: ended.set()).go_on()
    await ended.wait()
    assert got == ["done"]


async def test_errors_reach_whoever_began_it() -> None:
    async def failing() -> None:
        raise ValueError("no")

    ends = Ends()
    Work(failing(), ends).go_on()
    assert str(ends.errors[0]) == "no"


@pytest.mark.parametrize("kind", ["wakeup", "future", "task"])
async def test_it_can_be_cancelled_wherever_it_waits(kind: str) -> None:
    loop = asyncio.get_running_loop()
    waits_for = {
        "wakeup": lambda: Wakeup(loop),
        "future": loop.create_future,
        "task": lambda: loop.create_task(asyncio.sleep(60)),
    }[kind]()
    cleaned: list[bool] = []
    ended = asyncio.Event()

    async def waiting() -> None:
        try:
            await waits_for
        finally:
            cleaned.append(True)

    ends = Ends()
    work = Work(waiting(), lambda error: (ends(error), ended.set()))  # type: ignore[func-returns-value]
    work.go_on()
    work.cancel()
    await ended.wait()
    # Being cancelled is no error.
    assert (cleaned, ends.errors) == ([True], [None])


async def test_cancelled_while_it_runs_it_is_cancelled_where_it_waits_next() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    passed: list[str] = []

    async def waiting() -> None:
        work.cancel()
        passed.append("still running")
        await wakeup
        passed.append("never")

    ends = Ends()
    work = Work(waiting(), ends)
    work.go_on()
    assert (passed, ends.errors) == (["still running"], [None])


async def test_a_cancelled_wait_can_be_followed_by_another() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    passed: list[str] = []

    async def stubborn() -> None:
        try:
            await wakeup
        except asyncio.CancelledError:
            passed.append("cancelled")
        await wakeup
        passed.append("woken")

    ends = Ends()
    work = Work(stubborn(), ends)
    work.go_on()
    work.cancel()
    assert passed == ["cancelled"]
    wakeup.wake()
    assert (passed, ends.errors) == (["cancelled", "woken"], [None])


async def test_tasks_wait_for_wakeups_as_for_futures() -> None:
    wakeup = Wakeup(asyncio.get_running_loop())
    passed: list[str] = []

    async def waiting() -> None:
        await wakeup
        passed.append("woken")
        async with asyncio.timeout(0.01):
            await wakeup

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    wakeup.wake()
    assert passed == []
    with pytest.raises(TimeoutError):
        await task
    assert passed == ["woken"]
    # Nobody waits any more.
    wakeup.wake()
    assert not wakeup.cancel()
