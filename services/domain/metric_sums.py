"""From the sums of a variant to the sums, and the estimate, of one metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.betting import Floats
from analytics.buckets import BucketSums, bucketed_mean, too_few_contributors, too_few_events
from analytics.cuped import adjusted_mean, adjustment
from analytics.estimates import Estimate
from analytics.results import Insufficient
from services.domain.bucket_table import BucketTable, Integers
from services.domain.metric import FEEDBACK_SCALE, UNITS, Metric, column_of, source_of

SMALL = 0.5
"""The part of the largest variant's samples below which a variant is a small one."""
REQUESTS = "requests"
_EVERY_REQUEST = "error"
"""A column that every request has a value of: its number of values is the number of requests."""


@dataclass(frozen=True, eq=False, slots=True)
class MetricSums:
    """Sums of one metric in one variant.

    ``clock`` is what a confidence sequence over it runs in: values, or units for a metric per unit.
    ``events`` is the number of units with at least one, where the metric is the share of those.
    """

    sums: BucketSums
    clock: float
    events: int | None = None


def metric_sums(metric: Metric, table: BucketTable) -> MetricSums | Insufficient:
    """Return the metric's sums over the analysis buckets, in its unit.

    Of a metric per unit, what lies in a bucket without a unit of the variant is left out: values of units
    that were first served by another one.
    """
    column = column_of(metric)
    values, counted = _plane(table, column.key, metric.source)
    if values is None or counted is None:
        return Insufficient(f"{column.key} was not summed for this experiment")
    # The sum of such a column counts units, whatever the source is scaled by.
    numerator = values / (1 if column.first_of_unit else source_of(metric.source).scale)
    if metric.per == "unit":
        return _per_unit(metric, table, numerator, values)
    if metric.denominator is None:
        n = counted.astype(np.float64)
        sums = BucketSums(n, np.where(n > 0.0, numerator, 0.0))
        return MetricSums(sums, sums.total_n)
    return _ratio(metric.denominator, table, numerator, counted)


def _ratio(
    denominator: str, table: BucketTable, numerator: Floats, counted: Integers
) -> MetricSums | Insufficient:
    whole, _ = _plane(table, denominator, denominator)
    if whole is None:
        return Insufficient(f"{denominator} was not summed for this experiment")
    divided_by = whole / source_of(denominator).scale
    if (divided_by < 0.0).any():
        return Insufficient(f"the sum of {denominator} is negative: a ratio to it means nothing")
    if not divided_by.any():
        return Insufficient(f"the sum of {denominator} is 0 so far: nothing can be divided by it")
    return MetricSums(BucketSums(divided_by, numerator), max(float(counted.sum()), 1.0))


def _per_unit(metric: Metric, table: BucketTable, numerator: Floats, values: Integers) -> MetricSums:
    units = table.n(UNITS.key).astype(np.float64)
    served = units > 0.0
    covariate = np.where(served, table.total(UNITS.key) / FEEDBACK_SCALE, 0.0)
    sums = BucketSums(units, np.where(served, numerator, 0.0), covariate)
    events = int(values.sum()) if metric.kind == "proportion" else None
    return MetricSums(sums, sums.total_n, events)


def _plane(table: BucketTable, key: str, source: str) -> tuple[Integers | None, Integers | None]:
    """The sum and the number of values of a column; a request's number of requests is 1."""
    if source == REQUESTS:
        n = table.n(_EVERY_REQUEST)
        return n, n
    if not table.has(key):
        return None, None
    return table.total(key), table.n(key)


def estimate(sums: MetricSums | Insufficient) -> Estimate | Insufficient:
    """Return the metric's mean in one variant, with its cluster-robust variance."""
    if isinstance(sums, Insufficient):
        return sums
    if not sums.sums.total_n:
        return Insufficient("no values are counted yet")
    return bucketed_mean(sums.sums, sample_size=sums.clock)


def comparable(
    metric: Metric,
    sums: Sequence[MetricSums | BucketSums | Insufficient],
    estimates: Sequence[Estimate | Insufficient],
) -> tuple[Estimate | Insufficient, ...]:
    """Return the estimates of all variants, those of them that bear a comparison.

    A normal approximation knows little of three events, or of a mean that three large values decide. That
    cancels out between variants that get about as much traffic, so it is asked of small ones only.
    """
    known = [one.sums if isinstance(one, MetricSums) else one for one in sums]
    most = max((one.total_n for one in known if isinstance(one, BucketSums)), default=0.0)
    return tuple(
        found
        if isinstance(one, Insufficient) or isinstance(found, Insufficient)
        else _too_few(metric, one, is_small=one.total_n < most * SMALL) or found
        for one, found in zip(known, estimates, strict=True)
    )


def _too_few(metric: Metric, sums: BucketSums, *, is_small: bool) -> Insufficient | None:
    if metric.kind == "proportion":
        return too_few_events(sums)
    return too_few_contributors(sums) if is_small else None


def adjusted_estimates(
    variants: Sequence[MetricSums | Insufficient],
) -> tuple[Estimate | Insufficient, ...] | Insufficient:
    """Return every variant's mean after what was known of its units before (CUPED), or why there is none.

    For metrics per unit only: how many requests a unit makes may be the treatment's doing, so a covariate
    per request is not from before the experiment.
    """
    known = [one.sums for one in variants if not isinstance(one, Insufficient)]
    if len(known) < len(variants) or any(sums.x is None for sums in known):
        return Insufficient("only metrics per unit are adjusted by a covariate")
    found = adjustment(known)
    if isinstance(found, Insufficient):
        return found
    return tuple(adjusted_mean(sums, found) for sums in known)
