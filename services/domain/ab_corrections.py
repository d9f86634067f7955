"""P-values of an A/B test's rows, corrected for those that were planned beside them.

The verdicts correct what decides. Each other way of asking the same of every goal, such as the fixed horizon,
is a family of its own and corrected among itself: Holm over goals, Benjamini-Hochberg over secondary metrics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import msgspec

from analytics.corrections import benjamini_hochberg, holm
from services.domain.ab_inputs import ABTestInputs
from services.domain.results import SEQUENTIAL, ResultRow

ABSOLUTE = "absolute_difference"
RELATIVE = "relative_difference"


def corrected_rows(rows: list[ResultRow], inputs: ABTestInputs) -> list[ResultRow]:
    """Return the rows with corrected p-values for every test of a goal or secondary metric."""
    definition, treatments = inputs.definition, len(inputs.treatments)
    rows = _corrected(rows, definition.goals, treatments, by_holm=True)
    rows = _corrected(rows, definition.secondary, treatments, by_holm=False)
    return alike(rows)


def alike(rows: list[ResultRow]) -> list[ResultRow]:
    """Give each relative sequential difference the corrected p of the absolute one, which asks the same."""
    of_absolute = {
        _subject(row): row.adjusted_p_value
        for row in rows
        if row.statistic == ABSOLUTE and row.method.startswith(SEQUENTIAL)
    }
    return [
        _with(row, of_absolute[_subject(row)]) if _follows(row) and _subject(row) in of_absolute else row
        for row in rows
    ]


def _corrected(
    rows: list[ResultRow], metrics: Collection[str], treatments: int, *, by_holm: bool
) -> list[ResultRow]:
    """Correct each statistic of each method over everything planned; what has a corrected p keeps it."""
    families: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.metric in metrics and row.p_value is not None and row.comparison_to:
            families[row.statistic, row.method].append(place)
    correct = holm if by_holm else benjamini_hochberg
    after = list(rows)
    for places in families.values():
        known = [p for place in places if (p := rows[place].p_value) is not None]
        adjusted = correct(known, planned=len(metrics) * treatments)
        for place, p_value in zip(places, adjusted, strict=True):
            if rows[place].adjusted_p_value is None:
                after[place] = _with(rows[place], p_value)
    return after


def _follows(row: ResultRow) -> bool:
    return row.statistic == RELATIVE and row.method.startswith(SEQUENTIAL) and row.insufficient is None


def _subject(row: ResultRow) -> tuple[str, str, str, str]:
    return row.metric, row.segment, row.variant, row.method


def _with(row: ResultRow, p_value: float | None) -> ResultRow:
    return msgspec.structs.replace(row, adjusted_p_value=p_value)
