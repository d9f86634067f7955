"""Replicas that share limits through a log, in simulated time: real ledgers and beats, modelled delays.

Nothing here reads a clock or sleeps, so a run is the same each time for the same seed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from uuid import UUID

from services.domain.escrow import Standing
from services.domain.limits import Limits
from services.gateway.limiting.beats import BEAT_SECONDS, Beats
from services.gateway.limiting.estimates import Cost
from services.gateway.limiting.ledger import Ledger, Reservation
from services.gateway.limiting.limiter import CLAIM_SECONDS
from services.gateway.limiting.plans import Plan, Scope
from services.gateway.limiting.refusals import LimitReached
from services.messaging.consumption_codec import (
    Beat,
    decode_beat,
    decode_pulse,
    encode_consumption,
)

TODAY = 20_000
BEGIN = 1_000_000.0
"""Seconds of the simulated wall clock."""
BROKER_AHEAD_SECONDS = 777.0


def plan(*scopes: Scope, unit: Scope | None = None) -> Plan:
    """Limits without prices."""
    return Plan(tuple(scopes), unit, (None,), (0, 0))


def route_limit(**limits: float) -> Plan:
    """The limits of a route."""
    return plan(Scope("route", "support", Limits(**limits)))  # type: ignore[arg-type]


@dataclass
class Delays:
    """How long things take, in seconds: uniform between the two."""

    to_log: tuple[float, float] = (0.002, 0.008)
    from_log: tuple[float, float] = (0.001, 0.006)


_Event = tuple[float, int, Callable[[], None]]
"""When, a number that is unlike all others, and what happens."""


class World:
    """Time, a log, and replicas."""

    def __init__(self, seed: int, delays: Delays | None = None) -> None:
        self.now = BEGIN
        self.random = Random(seed)
        self.delays = delays or Delays()
        self.log_is_up = True
        self.replicas: list[Replica] = []
        self._events: list[_Event] = []
        self._numbers = itertools.count()
        self._log: list[tuple[bytes, int]] = []

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something then."""
        heapq.heappush(self._events, (when, next(self._numbers), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now + seconds, act)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = end

    def add(self, skew: float = 0.0) -> Replica:
        """Start one more replica, whose monotonic clock is ahead by so much."""
        replica = Replica(self, UUID(int=self.random.getrandbits(128)), skew)
        self.replicas.append(replica)
        for offset, (value, appended_ms) in enumerate(self._log):
            replica.hear(value, offset, appended_ms)
        replica.start()
        return replica

    def send(self, replica: Replica, beat: Beat) -> None:
        """Carry a beat to the log and, in the log's order, to everybody."""
        value = encode_consumption(beat)
        self.after(self.random.uniform(*self.delays.to_log), lambda: self._append(replica, beat, value))

    def _append(self, sender: Replica, beat: Beat, value: bytes) -> None:
        sender.sending = False
        if self.log_is_up:
            # As soon as it is acknowledged, the next may go.
            self.after(self.random.uniform(*self.delays.from_log), sender.go_on)
        if not self.log_is_up:
            sender.beats.lost(beat.sequence)
            return
        appended_ms = int((self.now + BROKER_AHEAD_SECONDS) * 1000)
        self._log.append((value, appended_ms))
        for replica in self.replicas:
            replica.coming(value, len(self._log) - 1, appended_ms)


class Replica:
    """One gateway process, but for HTTP and Kafka."""

    def __init__(self, world: World, name: UUID, skew: float) -> None:
        self.world = world
        self.ledger = Ledger(Standing(1, 0, together=False), 100_000)
        self.beats = Beats(name, self.ledger)
        self.sending = False
        self.alive = True
        self.admitted: list[float] = []
        self.refused: list[LimitReached] = []
        self._skew = skew
        self._heard_until = 0.0

    @property
    def clock(self) -> float:
        """Its monotonic time."""
        return self.world.now - BEGIN + 100_000 + self._skew

    def start(self) -> None:
        """Beat from now on."""
        self.world.after(self.world.random.uniform(0, BEAT_SECONDS), self._turn)

    def stop(self) -> None:
        """Die without a word."""
        self.alive = False
        self.world.replicas.remove(self)

    def leave(self) -> None:
        """Say goodbye."""
        self.world.send(self, self.beats.beat(self.clock, goodbye=True))
        self.stop()

    def coming(self, value: bytes, offset: int, appended_ms: int) -> None:
        """A record is on its way; none overtakes another."""
        world = self.world
        arrives = world.now + world.random.uniform(*world.delays.from_log)
        self._heard_until = max(self._heard_until + 1e-9, arrives)
        world.at(self._heard_until, lambda: self.alive and self.hear(value, offset, appended_ms))  # type: ignore[func-returns-value]

    def hear(self, value: bytes, offset: int, appended_ms: int) -> None:
        """A record is there."""
        pulse = decode_pulse(value)
        assert pulse is not None
        if pulse.replica == self.beats.replica:
            self.beats.hear_own(pulse.sequence, pulse.sent_ms, offset, appended_ms, self.clock, TODAY)
            return
        beat = decode_beat(value)
        assert beat is not None
        self.beats.hear(beat, offset, appended_ms, self.clock, TODAY)
        if self.beats.called:
            self._beat_if_due()

    def ask(self, asked: Plan, cost: Cost | None = None, *, unit: int | None = None) -> Reservation | None:
        """Ask for a request; it counts once it is admitted."""
        try:
            held = self.ledger.reserve(asked, unit, cost or Cost(), self.clock, TODAY + 0.5)
        except LimitReached as error:
            self.refused.append(error)
            return None
        claim, asked_at = held.claim, self.world.now
        if claim is None:
            self.admitted.append(asked_at)
            return held

        def decided() -> None:
            if claim.granted:
                self.admitted.append(asked_at)
            else:
                self.refused.append(self.ledger.judge.refusal_of(claim, self.clock, TODAY + 0.5))

        claim.on_decided = decided
        self.world.after(CLAIM_SECONDS, lambda: self.ledger.docket.give_up(claim))
        self._beat_if_due()
        return held

    def go_on(self) -> None:
        """The last beat is acknowledged."""
        if self.alive and (self.ledger.docket.claims or self.beats.called):
            self._beat_if_due()

    def _turn(self) -> None:
        if not self.alive:
            return
        self.beats.tick(self.clock, TODAY)
        self._beat_if_due()
        self.world.after(BEAT_SECONDS, self._turn)

    def _beat_if_due(self) -> None:
        if not self.sending and self.beats.due(self.clock):
            self.sending = True
            self.world.send(self, self.beats.beat(self.clock))


def joined(world: World, count: int, skews: tuple[float, ...] = ()) -> list[Replica]:
    """So many replicas that hear each other."""
    replicas = [world.add(skews[number] if skews else 0.0) for number in range(count)]
    world.run(1.0)
    assert {replica.ledger.standing.replicas for replica in replicas} == {count}
    assert all(replica.ledger.standing.together for replica in replicas)
    return replicas


def offer(world: World, replicas: list[Replica], asked: Plan, rate: float, seconds: float) -> None:
    """Ask at a steady rate with random gaps, at replicas drawn at random."""

    def one() -> None:
        world.random.choice(replicas).ask(asked)
        gap = world.random.expovariate(rate)
        if world.now + gap < end:
            world.after(gap, one)

    end = world.now + seconds
    one()
    world.run(seconds)


def most_in_any_minute(times: list[float]) -> int:
    """The most that were admitted in any 60 seconds."""
    ordered, most, first = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def all_admitted(replicas: list[Replica]) -> list[float]:
    """When anything was admitted, anywhere."""
    return sorted(at for replica in replicas for at in replica.admitted)
