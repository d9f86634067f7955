"""The bytes on ``consumption.v1``: what each replica of the gateway has used of whose limits.

Everything is cumulative: a record that comes twice changes nothing, and of several about one thing the one
with the highest sequence number is the truth. Numbers of slots and milliseconds are on the sending replica's
own monotonic clock; readers learn how it runs from the time at which the broker appended each record.

Partition 0 holds beats, keyed by replica; partition 1 the totals of days, keyed by replica, day and scope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import msgspec

from services.messaging.codec import UNDECODABLE

CONSUMPTION_SCHEMA = 1
BEATS = 0
"""The partition of beats."""
DAYS = 1
"""The partition of the totals of days."""

SlotUse = tuple[int, int, int]
"""The slot's number, and requests and tokens used in it so far."""
DayUse = tuple[int, int, int]
"""The day (since 1970-01-01, UTC), and tokens and billionths of a dollar used on it so far."""


class ScopeUse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of one scope has changed. ``in_flight`` and ``day`` are None where no such limit is set."""

    scope: int
    slots: list[SlotUse]
    in_flight: int | None = None
    day: DayUse | None = None


class Beat(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One replica's news. ``goodbye`` is its last word: it has nothing under way any more.

    ``seen`` is the offset of the last beat that it had heard; ``asks`` wants everybody's next beat at once.
    """

    schema: int
    replica: UUID
    sequence: int
    sent_ms: int
    scopes: list[ScopeUse]
    seen: int = -1
    asks: bool = False
    goodbye: bool = False


class DayTotal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one replica has used of one scope on one day, kept for those that start later."""

    schema: int
    replica: UUID
    sequence: int
    scope: int
    day: DayUse


class Pulse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A beat, but for what it says: enough for the replica that sent it."""

    schema: int
    replica: UUID
    sequence: int
    sent_ms: int


_Record = TypeVar("_Record", Beat, Pulse, DayTotal)

_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_beat = msgspec.msgpack.Decoder(Beat).decode
_pulse = msgspec.msgpack.Decoder(Pulse).decode
_total = msgspec.msgpack.Decoder(DayTotal).decode


def encode_consumption(record: Beat | DayTotal) -> bytes:
    """Return a record's value."""
    return _encode(record)


def beat_key(replica: UUID) -> bytes:
    """Return the key of a replica's beats."""
    return replica.hex.encode()


def day_key(replica: UUID, day: int, scope: int) -> bytes:
    """Return the key of a total."""
    return b"%b/%d/%016x" % (replica.hex.encode(), day, scope)


def decode_beat(value: bytes | None) -> Beat | None:
    """Return a beat; None for what this release does not understand, so newer ones may run beside it."""
    return None if value is None else _known(value, _beat)


def decode_pulse(value: bytes | None) -> Pulse | None:
    """Return the head of a beat, or None."""
    return None if value is None else _known(value, _pulse)


def decode_day_total(value: bytes | None) -> DayTotal | None:
    """Return a total, or None."""
    return None if value is None else _known(value, _total)


def _known(value: bytes, decode: Callable[[bytes], _Record]) -> _Record | None:
    try:
        record = decode(value)
    except UNDECODABLE:
        return None
    return record if record.schema == CONSUMPTION_SCHEMA else None
