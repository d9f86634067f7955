"""Who used how much: requests, tokens and cost by day, route, variant, team and key.

Every outcome counts here, whether or not its route has an experiment, in the flush that counts it elsewhere:
once, and whenever that is written.
"""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np

from services.domain.bucket_table import Integers
from services.storage.counting import Flush
from services.storage.usage import KeyUse, UsageCount
from services.workers.columns import ROW_BITS, Columns, Opened
from services.workers.numbering import renumbered

MINUTES_A_DAY = 1_440
EPOCH = date(1970, 1, 1)
LAST_USED_EVERY_SECONDS = 5.0
"""How often a worker writes down at most that a key is in use."""


def usage_rows(columns: Columns, minutes: Integers, first: list[int]) -> list[UsageCount]:
    """Return what to add to ``usage``: columns of outcomes, added up.

    Args:
        columns: the outcomes.
        minutes: shape (open groups,); groups of the same route, variant and minute have the same number.
        first: by that number, the first of its groups.
    """
    groups, payers = columns.opened.groups, list(columns.observations.payers)
    if not len(columns.groups):
        return []
    owners = columns.opened.group_partitions
    places = _days(columns.opened, first)[minutes] * (int(owners.max()) + 1) + owners
    slots = places[columns.groups] * len(payers) + columns.payers
    used, rows = renumbered(slots, (int(places.max()) + 1) * len(payers))
    # Of what is assigned to the same row the last one stays: the newest, as minutes only go up.
    newest = np.zeros(len(used), np.int64)
    newest[rows] = columns.groups
    found = []
    sums = _sums(columns, rows, len(used)).T.tolist()
    for slot, at, own in zip(used.tolist(), newest.tolist(), sums, strict=True):
        tick, group = int(columns.opened.group_keys[at]) >> ROW_BITS, groups[at]
        key_id, team_key = payers[slot % len(payers)]
        names = (_day_of(tick), group.route_key, group.variant_key, team_key, key_id, group.partition)
        found.append(UsageCount._make((*names, *own, tick)))
    return found


def _days(opened: Opened, first: list[int]) -> Integers:
    """Return by number of route, variant and minute a number of route, variant and day."""
    numbers: dict[tuple[int, int], int] = {}
    ticks, rows = opened.group_keys[first] >> ROW_BITS, opened.group_keys[first] & ((1 << ROW_BITS) - 1)
    days = zip((ticks // MINUTES_A_DAY).tolist(), rows.tolist(), strict=True)
    return np.array([numbers.setdefault(day, len(numbers)) for day in days], np.int64)


def _day_of(tick: int) -> date:
    return EPOCH + timedelta(days=tick // MINUTES_A_DAY)


def _sums(columns: Columns, rows: Integers, size: int) -> Integers:
    """Return what is added up in ``usage``. Shape (7, rows)."""
    prompt, completion = np.maximum(columns.prompt_tokens, 0), np.maximum(columns.completion_tokens, 0)
    unpriced = (columns.cost < 0) & (prompt + completion > 0)
    sums = np.zeros((7, size), np.int64)
    sums[0] = np.bincount(rows, minlength=size)
    sums[1] = np.bincount(rows[columns.failed], minlength=size)
    np.add.at(sums[2], rows, prompt)
    np.add.at(sums[3], rows, np.maximum(columns.cached_tokens, 0))
    np.add.at(sums[4], rows, completion)
    np.add.at(sums[5], rows, np.maximum(columns.cost, 0))
    sums[6] = np.bincount(rows[unpriced], minlength=size)
    return sums


class KeysInUse:
    """When each key was last used, to be written down now and then."""

    def __init__(self, every_seconds: float = LAST_USED_EVERY_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._waiting: dict[str, int] = {}
        self._written: dict[str, float] = {}

    def note(self, flush: Flush) -> None:
        """Note who used what was written."""
        newest = {one.partition: one.last_timestamp_ms for one in flush.advances}
        for row in flush.usage:
            used_ms = min(newest[row.partition] or 0, (row.last_tick + 1) * 60_000)
            self._waiting[row.key_id] = max(self._waiting.get(row.key_id, 0), used_ms)

    def due(self, now: float) -> list[KeyUse]:
        """Return what is to be written at this ``time.monotonic``, and take it as written."""
        oldest = now - self._every_seconds
        due = [key for key in self._waiting if self._written.get(key, -math.inf) <= oldest]
        self._written.update(dict.fromkeys(due, now))
        return [KeyUse(key, self._waiting.pop(key)) for key in sorted(due)]
