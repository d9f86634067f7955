"""The other replicas: who is there, and how their clocks run beside ours."""

from __future__ import annotations

from uuid import UUID

from services.domain.clock_offset import ClockOffset
from services.domain.sliding_window import SLOTS_PER_SECOND
from services.gateway.limiting.meters import Meter

SLOT_MS = 1000 // SLOTS_PER_SECOND
MARGIN_MS = 50
"""What the ways to the broker may differ by. Others' slots are placed too late rather than too early."""

FORGOTTEN_SECONDS = 180.0
"""Its slots have left every window by then, and nobody reads its beats again."""

DayRecord = tuple[int, int, int, int]
"""Sequence number, day, tokens, billionths of a dollar."""


class Peer:
    """One other replica, alive or not. ``number`` is what we call it, ``heard_at`` on our clock."""

    __slots__ = (
        "day",
        "days",
        "gone",
        "heard_at",
        "in_flight",
        "number",
        "offset",
        "replica",
        "seen",
        "sequence",
    )

    def __init__(self, replica: UUID, number: int) -> None:
        self.replica = replica
        self.number = number
        self.offset = ClockOffset()
        self.heard_at = float("-inf")
        self.gone = False
        """Whether it has said goodbye."""
        self.sequence = -1
        """Of its last beat."""
        self.seen = -1
        """The offset of the last beat that it had heard when it sent its own."""
        self.in_flight: dict[Meter, int] = {}
        self.days: dict[int, DayRecord] = {}
        """By scope."""
        self.day = -1
        """The last one that it told of."""

    def forget_in_flight(self) -> None:
        """It is gone, and with it whatever it had under way."""
        for meter, count in self.in_flight.items():
            meter.others_in_flight -= count
        self.in_flight.clear()

    def slot_for(self, number: int, own: ClockOffset) -> int:
        """Return our number of the slot that one of the replica's slots ends in."""
        end_ms = (number + 1) * SLOT_MS - 1 + MARGIN_MS
        return (end_ms + self.offset.milliseconds - own.milliseconds) // SLOT_MS

    def time_of(self, sent_ms: int, own: ClockOffset) -> float:
        """Return when on our clock something was sent."""
        return (sent_ms + self.offset.milliseconds - own.milliseconds) / 1000


class Peers:
    """All that were ever heard of and still matter."""

    def __init__(self, silent_seconds: float) -> None:
        self.by_replica: dict[UUID, Peer] = {}
        self._silent_seconds = silent_seconds
        self._numbers = 0

    def of(self, replica: UUID) -> Peer:
        """Return a replica, heard of before or not."""
        peer = self.by_replica.get(replica)
        if peer is None:
            self._numbers += 1
            peer = self.by_replica[replica] = Peer(replica, self._numbers)
        return peer

    def alive(self, now: float) -> list[Peer]:
        """Return those that were heard lately."""
        since = now - self._silent_seconds
        return [peer for peer in self.by_replica.values() if peer.heard_at >= since and not peer.gone]

    def bury(self, now: float, today: int) -> None:
        """Take note of who is gone, and forget whoever says nothing about the last minute or today."""
        silent, forgotten = now - self._silent_seconds, now - FORGOTTEN_SECONDS
        for replica, peer in list(self.by_replica.items()):
            if peer.heard_at >= silent:
                continue
            peer.forget_in_flight()
            if peer.day < today:
                peer.days.clear()
            if peer.heard_at < forgotten and not peer.days:
                del self.by_replica[replica]
