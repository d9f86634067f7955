"""Metrics: what is measured of each request or unit, in which direction it is better, and from what.

Every value is summed as a whole number: microseconds, tokens, billionths of a dollar, millionths of a score.
Whole numbers add up to the same sum in any order, so a result can be recomputed to the bit.
A missing value is left out of the numerator and the denominator alike; it never counts as 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from services.domain.errors import InvalidDefinition

MetricKind = Literal["mean", "ratio", "proportion", "quantile"]
Per = Literal["request", "unit"]
Better = Literal["lower", "higher"]

FEEDBACK = "feedback:"
"""The prefix of a source that clients report: ``feedback:<name>``."""
FEEDBACK_SCALE = 1_000_000
LARGEST_REPORTED = 1_000_000
"""The largest number, either way, that clients may give as a score or a covariate.

In millionths it is 10¹², and a sum of 64 bits takes 9.2 million of the largest, in each analysis bucket.
"""
_FEEDBACK_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def is_feedback_name(name: str) -> bool:
    """Say whether clients may report something under that name."""
    return _FEEDBACK_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from. The stored whole number divided by ``scale`` is the value in ``unit``."""

    scale: int
    unit: str


SOURCES: dict[str, Source] = {
    "error": Source(1, "fraction"),
    "content_filter": Source(1, "fraction"),
    "latency": Source(1_000_000, "seconds"),
    "log_latency": Source(1_000_000, "log seconds"),
    "first_token": Source(1_000_000, "seconds"),
    "prompt_tokens": Source(1, "tokens"),
    "completion_tokens": Source(1, "tokens"),
    "total_tokens": Source(1, "tokens"),
    "cost": Source(1_000_000_000, "USD"),
    "requests": Source(1, "requests"),
}
"""What every outcome carries. ``requests`` is 1 for each request, for means per unit."""


def source_of(name: str) -> Source:
    """Return the source of that name. Raises KeyError where there is none."""
    return Source(FEEDBACK_SCALE, "score") if name.startswith(FEEDBACK) else SOURCES[name]


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a metric means.

    - ``mean`` per request: the sum of the source over the requests that have it, by their number;
      per unit: the sum by the number of exposed units.
    - ``proportion`` per request: the share of requests (of reports, for feedback) where the source is true;
      per unit: the share of exposed units with at least one. A report is true where its value is ``true`` or
      1 and not where it is ``false`` or 0; any other value is no yes or no and left out.
    - ``ratio``: the sum of the source by the sum of ``denominator``.
    - ``quantile``: the value below which the fraction ``quantile`` of requests lies.
    """

    key: str
    description: str = ""
    source: str
    kind: MetricKind = "mean"
    per: Per = "request"
    better: Better = "lower"
    cap: float | None = None
    """Larger values count as this one, so that a single request or report cannot carry the result."""
    denominator: str | None = None
    quantile: float | None = None

    @property
    def unit(self) -> str:
        """What a value of this metric is measured in."""
        if self.kind == "proportion":
            return "fraction"
        unit = source_of(self.source).unit
        if self.kind == "ratio":
            return f"{unit} / {source_of(self.denominator or '').unit}"
        return f"{unit} / unit" if self.per == "unit" else unit

    @property
    def is_never_negative(self) -> bool:
        """Whether no value can be below 0: clients may report anything, and logarithms go both ways."""
        signed = any(
            name == "log_latency" or name.startswith(FEEDBACK)
            for name in (self.source, self.denominator or "")
        )
        return self.kind == "proportion" or not signed

    @property
    def scale(self) -> float:
        """What the sum of the numerator is divided by, to be in the metric's unit."""
        scale = float(source_of(self.source).scale)
        return scale / source_of(self.denominator).scale if self.denominator else scale


BUILT_IN: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric(
            key="error_rate",
            description="Share of requests that failed",
            source="error",
            kind="proportion",
        ),
        Metric(
            key="content_filter_rate",
            description="Share of requests whose answer a content filter cut off",
            source="content_filter",
            kind="proportion",
        ),
        Metric(key="latency_mean", description="Mean time to the whole answer", source="latency"),
        *(
            Metric(
                key=f"latency_p{round(q * 100)}",
                description=f"The time within which {q:.0%} of answers were complete",
                source="latency",
                kind="quantile",
                quantile=q,
            )
            for q in (0.5, 0.95, 0.99)
        ),
        Metric(key="first_token_mean", description="Mean time to the first token", source="first_token"),
        Metric(
            key="first_token_p95",
            description="The time within which 95% of streams began",
            source="first_token",
            kind="quantile",
            quantile=0.95,
        ),
        Metric(key="prompt_tokens", description="Mean prompt tokens of a request", source="prompt_tokens"),
        Metric(
            key="completion_tokens",
            description="Mean completion tokens of a request",
            source="completion_tokens",
        ),
        Metric(key="total_tokens", description="Mean tokens of a request", source="total_tokens"),
        Metric(key="cost", description="Mean cost of a request", source="cost"),
        Metric(
            key="satisfaction_rate",
            description="Share of reports of `satisfaction` that are true",
            source="feedback:satisfaction",
            kind="proportion",
            better="higher",
        ),
    )
}
"""Metrics every installation has."""


@dataclass(frozen=True, slots=True)
class Column:
    """What is summed for an experiment, for each variant and analysis bucket: ``n`` values, and their sum.

    ``first_of_unit``: the sum counts units with at least one true value, instead of values.
    ``cap`` is in the source's whole numbers. ``yes_or_no``: of reports, only 0 and 1 are values.
    """

    key: str
    source: str
    cap: int | None = None
    first_of_unit: bool = False
    yes_or_no: bool = False

    def takes(self, micros: int) -> bool:
        """Say whether a report of so many millionths is a value of this column."""
        return not self.yes_or_no or micros in (0, FEEDBACK_SCALE)


UNITS = Column("units", "units")
"""Its ``n`` counts the units exposed; its sum is that of the covariate they were exposed with."""

_ALWAYS = tuple(Column(name, name) for name in SOURCES if name != "requests")


def column_of(metric: Metric) -> Column:
    """Return what a metric's numerator is read from.

    Feedback may be read as a share and as a score by different metrics, so a share has a column of its own.
    """
    is_feedback = metric.source.startswith(FEEDBACK)
    if metric.kind == "proportion" and metric.per == "unit":
        return Column(f"units_with:{metric.source}", metric.source, first_of_unit=True, yes_or_no=is_feedback)
    if metric.kind == "proportion" and is_feedback:
        return Column(f"yes:{metric.source}", metric.source, yes_or_no=True)
    if metric.cap is None:
        return Column(metric.source, metric.source)
    cap = _whole_cap(metric.cap, metric.source)
    return Column(f"{metric.source}<={cap}", metric.source, cap)


def _whole_cap(cap: float, source: str) -> int:
    """The cap in the source's whole numbers."""
    return round(cap * source_of(source).scale)


def columns_for(metrics: Iterable[Metric]) -> tuple[Column, ...]:
    """Return what is summed for an experiment with these metrics: units, every built-in source, and theirs.

    The order is fixed by the definitions: the position of a column is its row in the stored sums.
    """
    columns = {column.key: column for column in (UNITS, *_ALWAYS)}
    for metric in metrics:
        if metric.kind == "quantile":
            continue
        numerator = column_of(metric)
        if numerator.source != "requests":
            columns.setdefault(numerator.key, numerator)
        if metric.denominator and metric.denominator != "requests":
            columns.setdefault(metric.denominator, Column(metric.denominator, metric.denominator))
    return tuple(columns.values())


SKETCHED = ("latency", "first_token")
"""The sources whose distribution is kept, for quantiles."""


def check_metric(metric: Metric) -> None:
    """Raise InvalidDefinition for the first rule the metric breaks."""
    _check_source("source", metric.source)
    if metric.kind == "ratio":
        if metric.denominator is None:
            raise InvalidDefinition("denominator", "is missing; a ratio divides by one, such as requests")
        _check_source("denominator", metric.denominator)
        if metric.per == "unit":
            raise InvalidDefinition(
                "per",
                "is unit, but a ratio has its denominator; leave it out, or make it a mean per unit",
            )
    elif metric.denominator is not None:
        raise InvalidDefinition("denominator", f"belongs to a ratio; this is a {metric.kind}")
    _check_quantile(metric)
    _check_cap(metric)
    is_yes_or_no = metric.source in ("error", "content_filter") or metric.source.startswith(FEEDBACK)
    if metric.kind == "proportion" and not is_yes_or_no:
        raise InvalidDefinition("source", f"{metric.source!r} is no yes or no; a proportion needs one")


def _check_cap(metric: Metric) -> None:
    if metric.cap is None:
        return
    if not (metric.cap > 0 and metric.kind in ("mean", "ratio")):
        raise InvalidDefinition("cap", "must be above 0, and only means and ratios have one")
    if metric.per == "unit":
        raise InvalidDefinition(
            "cap",
            "cuts off values of single requests, and this is a sum over a unit's; leave it out, or make the "
            "metric per request",
        )
    if not _whole_cap(metric.cap, metric.source):
        smallest = 1 / source_of(metric.source).scale
        raise InvalidDefinition(
            "cap", f"is less than the smallest value of {metric.source} there is, {smallest:g}"
        )


def _check_quantile(metric: Metric) -> None:
    if metric.kind != "quantile":
        if metric.quantile is not None:
            raise InvalidDefinition("quantile", f"belongs to a quantile; this is a {metric.kind}")
        return
    if metric.quantile is None or not 0 < metric.quantile < 1:
        raise InvalidDefinition("quantile", "must be above 0 and below 1, such as 0.95")
    if metric.source not in SKETCHED or metric.per == "unit":
        raise InvalidDefinition("source", f"quantiles are kept for requests' {' and '.join(SKETCHED)}")


def _check_source(field: str, name: str) -> None:
    if name.startswith(FEEDBACK):
        if not is_feedback_name(name.removeprefix(FEEDBACK)):
            raise InvalidDefinition(field, f"{name!r}: a feedback's name is of a-z, 0-9 and _ . -")
    elif name not in SOURCES:
        known = ", ".join(SOURCES)
        raise InvalidDefinition(field, f"{name!r} is unknown; there are {known}, and {FEEDBACK}<name>")
