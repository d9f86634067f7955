"""Samples as plain values, and the page that Prometheus reads.

The processes of a gateway hand each other values, not lines: a report is made once a second, a page only when
somebody asks. ``prometheus_client`` writes the page, in the text format or in OpenMetrics, whichever is asked
for. It takes twice as long as lines written here would (35,000 samples, those of 1,000 routes: 0.2 s, in a
thread, at each scrape), and both formats are its business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Literal

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import Collector

Kind = Literal["counter", "gauge", "histogram"]
_Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Bars(msgspec.Struct, array_like=True):
    """A histogram: how many values there were in each bucket, the last one without a bound, and their sum."""

    counts: list[int]
    total: float


class Family(msgspec.Struct):
    """One metric with all its samples. ``labels`` are the names of what begins each of ``rows``."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    rows: list[tuple[list[str], float | Bars]] = []


class Figures:
    """Collects samples. ``common`` labels are on each of them."""

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = dict(common)
        self.families: list[Family] = []

    def family(self, name: str, kind: Kind, help_: str, bounds: Sequence[float] = ()) -> None:
        """Begin a metric; the samples that follow are its, all with the same labels."""
        self.families.append(Family(name, kind, help_, (), tuple(bounds), []))

    def sample(self, value: float, **labels: str) -> None:
        """Add a sample."""
        self._add(float(value), labels)

    def histogram(self, counts: Sequence[int], total: float, **labels: str) -> None:
        """Add a histogram, of counts by bucket."""
        self._add(Bars(list(counts), float(total)), labels)

    def single(self, name: str, kind: Kind, help_: str, value: float, **labels: str) -> None:
        """Add a metric of one sample."""
        self.family(name, kind, help_)
        self.sample(value, **labels)

    def _add(self, value: float | Bars, labels: dict[str, str]) -> None:
        family = self.families[-1]
        all_labels = self._common | labels
        if not family.rows:
            family.labels = tuple(all_labels)
        family.rows.append(([all_labels[name] for name in family.labels], value))


def render(reports: Iterable[Iterable[Family]], accept: str = "") -> tuple[str, bytes]:
    """Return the page and its content type, with the samples of each metric together, from all reports.

    ``accept`` is the header by which its reader says what it understands.
    """
    collected = _Collected(reports)
    try:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(collected)
    except (TypeError, ValueError):
        # Asked for in a version that is none.
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(collected)


class _Collected(Collector):
    def __init__(self, reports: Iterable[Iterable[Family]]) -> None:
        self._metrics: dict[str, _Metric] = {}
        for report in reports:
            for family in report:
                if family.rows:
                    self._take(family)

    def collect(self) -> Iterator[_Metric]:
        return iter(self._metrics.values())

    def _take(self, family: Family) -> None:
        metric = self._metrics.get(family.name)
        if metric is None:
            metric = self._metrics[family.name] = _metric(family)
        bounds = [_spelled(bound) for bound in (*family.bounds, inf)]
        for labels, value in family.rows:
            if isinstance(value, Bars):
                if isinstance(metric, HistogramMetricFamily):
                    metric.add_metric(
                        labels, [*zip(bounds, accumulate(value.counts), strict=True)], value.total
                    )
            elif not isinstance(metric, HistogramMetricFamily):
                metric.add_metric(labels, value)


def _spelled(bound: float) -> str:
    return "+Inf" if bound == inf else repr(float(bound))


def _metric(family: Family) -> _Metric:
    if family.kind == "counter":
        return CounterMetricFamily(family.name, family.help, labels=family.labels)
    if family.kind == "gauge":
        return GaugeMetricFamily(family.name, family.help, labels=family.labels)
    return HistogramMetricFamily(family.name, family.help, labels=family.labels)
