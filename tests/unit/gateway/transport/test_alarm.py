"""One timer, moved about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from services.gateway.transport.alarm import Alarm


@dataclass
class Clock:
    """As much of a loop as an alarm needs; ``timers`` are what was set and not cancelled."""

    now: float = 0.0
    timers: list[Timer] = field(default_factory=list)
    made: int = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.made += 1
        self.timers.append(Timer(self, when, callback))
        return self.timers[-1]

    def pass_to(self, now: float) -> None:
        while due := [timer for timer in self.timers if timer.when <= now]:
            first = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, first.when)
            self.timers.remove(first)
            first.callback()
        self.now = now


@dataclass(eq=False)
class Timer:
    clock: Clock
    when: float
    callback: Callable[[], None]

    def cancel(self) -> None:
        self.clock.timers.remove(self)


def alarm() -> tuple[Alarm, Clock, list[float]]:
    clock, rung = Clock(), cast("list[float]", [])
    loop: Any = clock
    return Alarm(cast("asyncio.AbstractEventLoop", loop), lambda: rung.append(clock.now)), clock, rung


def test_it_rings_once() -> None:
    one, clock, rung = alarm()
    one.set(5)
    clock.pass_to(100)
    assert rung == [5]
    assert not clock.timers


def test_moved_later_it_rings_later() -> None:
    one, clock, rung = alarm()
    one.set(5)
    clock.pass_to(4)
    one.set(9)
    clock.pass_to(100)
    assert rung == [9]


def test_moved_earlier_it_rings_earlier() -> None:
    one, clock, rung = alarm()
    one.set(30)
    one.set(5)
    clock.pass_to(100)
    assert rung == [5]


def test_cleared_it_is_silent_and_can_be_set_again() -> None:
    one, clock, rung = alarm()
    one.set(5)
    one.clear()
    clock.pass_to(6)
    assert (rung, clock.timers) == ([], [])
    one.set(7)
    clock.pass_to(100)
    assert rung == [7]


def test_stopped_it_leaves_no_timer() -> None:
    one, clock, rung = alarm()
    one.set(5)
    one.stop()
    one.stop()
    assert not clock.timers
    clock.pass_to(100)
    assert not rung


def test_a_thousand_requests_need_a_few_timers() -> None:
    one, clock, rung = alarm()
    for request in range(1000):
        clock.pass_to(request / 100)
        one.set(clock.now + 5)
        one.clear()
    assert clock.made <= 3
    assert not rung
