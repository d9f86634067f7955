"""Adding observations to the bucket sums, column by column, for all experiments at once.

What has a value where:

- ``error`` and ``content_filter``: every request, 1 or 0.
- ``latency`` and ``log_latency``: requests whose answer arrived whole (status ok). How long a failure took is
  no time to an answer, and failing fast is not being fast.
- ``first_token``, tokens and ``cost``: requests that have them; ``total_tokens``: those with either kind.
- ``units``: first requests, with the covariate; 0 where there is none.
- ``feedback:…``: reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.domain.assignment import analysis_bucket
from services.domain.bucket_table import Integers
from services.domain.metric import (
    FEEDBACK,
    FEEDBACK_SCALE,
    LARGEST_REPORTED,
    SKETCHED,
    SOURCES,
    UNITS,
    Column,
)
from services.domain.status import OutcomeStatus
from services.workers.columns import Columns
from services.workers.lines import FIRST_ERROR, FIRST_FILTER, FIRST_REQUEST
from services.workers.observations import MISSING, Report
from services.workers.places import Place, Places
from services.workers.sketches import Gathered

AT_ONCE = 4_096
"""So many outcomes are added column by column: their rows stay in the processor's cache meanwhile."""
NotSummed = Literal["unread_feedback", "unreadable_feedback"]
"""No metric reads a report's name; a share is read from it, and it is neither yes nor no."""

Present = tuple[NDArray[np.intp] | None, Integers]
"""Which pairs have a value (None: all), and the value of each of those."""


@dataclass
class Pairs:
    """Outcomes and the places they are added to.

    Attributes:
        columns: the outcomes.
        outcomes: shape (pairs,), indices into the columns.
        marks: shape (pairs,).
        numbers: shape (pairs,), the place's number.
        rows: shape (pairs,), where the row of the outcome's bucket begins in the array of all places.
    """

    columns: Columns
    outcomes: Integers
    marks: Integers
    numbers: Integers
    rows: Integers

    @classmethod
    def of(
        cls,
        columns: Columns,
        outcomes: Integers,
        marks: Integers,
        numbers: Integers,
        places: Places,
    ) -> Pairs:
        """From pairs and, for each, the number of its place."""
        facts = places.facts
        buckets = columns.buckets[outcomes] // places.partitions
        local: Integers = np.minimum(buckets, facts["last"][numbers])
        rows: Integers = facts["start"][numbers] + local * facts["width"][numbers]
        return cls(columns, outcomes, marks, numbers, rows)

    def only(self, chosen: NDArray[np.bool_] | slice) -> Pairs:
        """These pairs."""
        return Pairs(
            self.columns, self.outcomes[chosen], self.marks[chosen], self.numbers[chosen], self.rows[chosen]
        )

    def values(self, column: Column) -> Present | None:
        """Return what is added to a column; None where its values are none of an outcome's."""
        if column.first_of_unit:
            mark = {"error": FIRST_ERROR, "content_filter": FIRST_FILTER}.get(column.source)
            return None if mark is None else (None, (self.marks & mark != 0).astype(np.int64))
        read = _READERS.get(column.source)
        if read is None:
            return None
        present, values = read(self)
        return present, values if column.cap is None else np.minimum(values, column.cap)

    @cached_property
    def completed(self) -> NDArray[np.intp]:
        """The pairs whose answer arrived whole, and took some time."""
        columns, outcomes = self.columns, self.outcomes
        is_whole = columns.statuses[outcomes] == OutcomeStatus.OK
        return np.flatnonzero(is_whole & (columns.latency[outcomes] > 0))


def add_outcomes(places: Places, gathered: Gathered, pairs: Pairs, columns: Sequence[Column]) -> None:
    """Add outcomes to places that all have these columns."""
    for start in range(0, len(pairs.outcomes), AT_ONCE):
        _add(places, pairs.only(slice(start, start + AT_ONCE)), columns)
    for source, name in enumerate(SKETCHED):
        present, values = _READERS[name](pairs)
        if present is not None and len(present):
            buckets = pairs.columns.buckets[pairs.outcomes[present]]
            ranks = places.facts["rank"][pairs.numbers[present]]
            gathered.add(ranks, source, buckets, values)


def _add(places: Places, pairs: Pairs, columns: Sequence[Column]) -> None:
    for position, column in enumerate(columns):
        found = pairs.values(column)
        if found is None:
            continue
        present, values = found
        rows = pairs.rows if present is None else pairs.rows[present]
        # Added up as whole numbers: exact, and the same in any order.
        np.add.at(places.numbers, rows + 2 * position, 1)
        np.add.at(places.numbers, rows + (2 * position + 1), values)


def not_summed(report: Report, columns: Sequence[Column]) -> NotSummed | None:
    """Say why a report is in none of these columns; None where it is in one."""
    named = [column for column in columns if column.source == FEEDBACK + report.name]
    if not named:
        return "unread_feedback"
    return None if any(column.takes(report.micros) for column in named) else "unreadable_feedback"


def add_report(places: Places, report: Report, place: Place) -> None:
    """Add a report to a place."""
    bucket = min(analysis_bucket(report.unit_hash) // places.partitions, place.buckets - 1)
    row = place.start + bucket * place.width
    for position, column in enumerate(place.columns):
        if column.source != FEEDBACK + report.name or not column.takes(report.micros):
            continue
        value = report.is_first_true if column.first_of_unit else report.micros
        if column.cap is not None:
            value = min(value, column.cap)
        places.numbers[row + 2 * position] += 1
        places.numbers[row + 2 * position + 1] += value


def _is(values: Callable[[Columns], NDArray[np.bool_]]) -> Callable[[Pairs], Present]:
    """A source that every request has: 1 or 0."""
    return lambda pairs: (None, values(pairs.columns)[pairs.outcomes].astype(np.int64))


def _where_known(values: Callable[[Columns, Integers], Integers]) -> Callable[[Pairs], Present]:
    """A source that some requests have."""

    def read(pairs: Pairs) -> Present:
        of_pairs = values(pairs.columns, pairs.outcomes)
        present = np.flatnonzero(of_pairs != MISSING)
        return present, of_pairs[present]

    return read


def _latency(pairs: Pairs) -> Present:
    return pairs.completed, pairs.columns.latency[pairs.outcomes[pairs.completed]]


def _log_latency(pairs: Pairs) -> Present:
    present, latency = _latency(pairs)
    logarithms = np.log(latency / SOURCES["latency"].scale) * SOURCES["log_latency"].scale
    return present, np.rint(logarithms).astype(np.int64)


def _total_tokens(columns: Columns, at: Integers) -> Integers:
    prompt, completion = columns.prompt_tokens[at], columns.completion_tokens[at]
    total = np.maximum(prompt, 0) + np.maximum(completion, 0)
    return np.where((prompt == MISSING) & (completion == MISSING), MISSING, total)


def _units(pairs: Pairs) -> Present:
    present = np.flatnonzero(pairs.marks & FIRST_REQUEST)
    known = pairs.columns.observations.covariates
    if not known:
        return present, np.zeros(len(present), np.int64)
    covariates = [_covariate(known.get(place)) for place in pairs.outcomes[present].tolist()]
    return present, np.array(covariates, np.int64)


def _covariate(value: float | None) -> int:
    # Gateways leave out what is larger; those of older releases took up to 1e9.
    if value is None or not abs(value) <= LARGEST_REPORTED:
        return 0
    return round(value * FEEDBACK_SCALE)


_READERS: dict[str, Callable[[Pairs], Present]] = {
    UNITS.source: _units,
    "error": _is(lambda columns: columns.failed),
    "content_filter": _is(lambda columns: columns.filtered),
    "latency": _latency,
    "log_latency": _log_latency,
    "first_token": _where_known(lambda columns, at: columns.first_token[at]),
    "prompt_tokens": _where_known(lambda columns, at: columns.prompt_tokens[at]),
    "completion_tokens": _where_known(lambda columns, at: columns.completion_tokens[at]),
    "total_tokens": _where_known(_total_tokens),
    "cost": _where_known(lambda columns, at: columns.cost[at]),
}
