"""One experiment's and phase's units and reports in a partition, and how many of them are known where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers
from services.storage.claims import UnitEvent

LedgerKey = tuple[UUID, int]
"""(experiment id, phase)."""


class Reports:
    """The hashes that were reported under one event: how many are stored, and those that are not yet."""

    __slots__ = ("fresh", "seen", "stored")

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.stored = 0
        self.fresh: list[int] = []

    def add(self, hashed: int) -> bool:
        """Note a hash; say whether it is new."""
        if hashed in self.seen:
            return False
        self.seen.add(hashed)
        self.fresh.append(hashed)
        return True

    def take(self) -> bytes:
        """Return the new hashes, packed; they are to be stored now."""
        packed = np.array(self.fresh, "<u8").tobytes()
        self.stored += len(self.fresh)
        self.fresh.clear()
        return packed


class UnitLedger:
    """The units of one experiment and phase in one partition. ``number`` is its own in the partition."""

    __slots__ = ("experiment_id", "key", "number", "phase", "reports")

    def __init__(self, key: LedgerKey, number: int) -> None:
        self.key = key
        self.experiment_id, self.phase = key
        self.number = number
        self.reports: dict[UnitEvent, Reports] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """How many units of each event some ledgers have, that grew.

    Attributes:
        names: of the events that lie in the table.
        ledgers: by number.
        numbers: shape (grown,).
        sizes: shape (grown, events that lie in the table).
        reported: sizes of the other events, by number of the ledger.
    """

    partition: int
    names: tuple[UnitEvent, ...]
    ledgers: Mapping[int, UnitLedger]
    numbers: Integers
    sizes: NDArray[np.int32]
    reported: Mapping[int, Mapping[UnitEvent, int]]


def newest(grown: Sequence[Grown]) -> dict[LedgerKey, dict[UnitEvent, int]]:
    """Return how many units of each event ledgers have, by the last word on each."""
    found: dict[LedgerKey, dict[UnitEvent, int]] = {}
    for ledgers in {id(one.ledgers): one.ledgers for one in grown}.values():
        own = [one for one in grown if one.ledgers is ledgers]
        numbers = np.concatenate([one.numbers for one in own])
        sizes = np.concatenate([one.sizes for one in own])
        reported = {number: events for one in own for number, events in one.reported.items()}
        known, last = np.unique(numbers[::-1], return_index=True)
        for number, row in zip(known.tolist(), sizes[::-1][last].tolist(), strict=True):
            # What closed meanwhile is forgotten.
            if ledger := ledgers.get(number):
                in_table = {event: size for event, size in zip(own[0].names, row, strict=True) if size}
                found[ledger.key] = in_table | dict(reported.get(number, {}))
    return found
