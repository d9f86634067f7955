"""What the comparisons of a shadow say together: from sums by analysis bucket to rates and differences.

Differences are the shadow's minus production's, over requests that both answered. Rates and their intervals
are cluster-robust, since requests of one unit are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.buckets import ANALYSIS_BUCKETS, BucketSums
from analytics.paired import PairedDifference, mean_difference
from analytics.results import Insufficient
from analytics.wilson import Rate, clustered_rate

SUMMED = (
    "mirrored",
    "production_errors",
    "shadow_errors",
    "compared",
    "exact",
    "normalised",
    "similar",
    "similarity",
    "with_tool_calls",
    "tool_calls_match",
    "production_latency_us",
    "shadow_latency_us",
    "shadow_faster",
    "counted",
    "production_tokens",
    "shadow_tokens",
    "priced",
    "production_cost_nanos",
    "shadow_cost_nanos",
)
"""What is summed of the comparisons of each bucket, in the order of the columns."""

_PLACES = {name: place for place, name in enumerate(SUMMED)}


@dataclass(frozen=True, eq=False, slots=True)
class ShadowSums:
    """Sums of comparisons. ``table`` has the shape (1,024 buckets, columns of ``SUMMED``)."""

    table: NDArray[np.float64]

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[float]]) -> ShadowSums:
        """From rows (bucket, a number for each of ``SUMMED``); other buckets are empty."""
        table = np.zeros((ANALYSIS_BUCKETS, len(SUMMED)))
        for bucket, *sums in rows:
            table[int(bucket)] += sums
        return cls(table)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.table[:, _PLACES[name]]

    def total(self, name: str) -> float:
        """The sum over all buckets."""
        return float(self[name].sum())

    def rate(self, events: str, among: str) -> Rate | Insufficient:
        """The rate of one count among another."""
        return clustered_rate(BucketSums(self[among], self[events]))

    def measured(self, measure: str, pairs: str, scale: float) -> Measured:
        """Both means of a measure, and the mean of its paired differences."""
        n, production, shadow = self[pairs], self[f"production_{measure}"], self[f"shadow_{measure}"]
        total = float(n.sum())
        difference = mean_difference(BucketSums(n, (shadow - production) / scale))
        if not total:
            return Measured(None, None, difference)
        return Measured(
            float(production.sum()) / scale / total, float(shadow.sum()) / scale / total, difference
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure of both sides. The means are None where no pair has it."""

    production: float | None
    shadow: float | None
    difference: PairedDifference | Insufficient


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What is known of a shadow.

    ``mirrored`` requests were answered by production and asked of the shadow; ``compared`` of them got an
    answer from both. Error rates are among the first, everything else among the second.
    """

    mirrored: int
    compared: int
    exact: Rate | Insufficient
    normalised: Rate | Insufficient
    similar: Rate | Insufficient
    mean_similarity: float | None
    tool_calls: Rate | Insufficient
    production_errors: Rate | Insufficient
    shadow_errors: Rate | Insufficient
    latency_seconds: Measured
    shadow_faster: Rate | Insufficient
    completion_tokens: Measured
    cost_dollars: Measured


def report_of(sums: ShadowSums) -> ShadowReport:
    """Return the report on what was summed."""
    compared = sums.total("compared")
    return ShadowReport(
        mirrored=int(sums.total("mirrored")),
        compared=int(compared),
        exact=sums.rate("exact", "compared"),
        normalised=sums.rate("normalised", "compared"),
        similar=sums.rate("similar", "compared"),
        mean_similarity=sums.total("similarity") / compared if compared else None,
        tool_calls=sums.rate("tool_calls_match", "with_tool_calls"),
        production_errors=sums.rate("production_errors", "mirrored"),
        shadow_errors=sums.rate("shadow_errors", "mirrored"),
        latency_seconds=sums.measured("latency_us", "compared", 1e6),
        shadow_faster=sums.rate("shadow_faster", "compared"),
        completion_tokens=sums.measured("tokens", "counted", 1.0),
        cost_dollars=sums.measured("cost_nanos", "priced", 1e9),
    )
