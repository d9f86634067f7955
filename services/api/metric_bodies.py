"""Metrics as callers define and see them."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import ConfigDict, Field

from services.api.etags import Resource
from services.api.schemas import Key, Replacement
from services.domain.metric import BUILT_IN, FEEDBACK, SOURCES, Better, Metric, MetricKind, Per, check_metric


class MetricBody(Replacement):
    """What a metric means."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"source": "latency", "kind": "mean", "per": "request", "cap": 60.0}}
    )
    description: str = Field(default="", max_length=1_000)
    source: str = Field(description=f"What is measured: {', '.join(SOURCES)}, or {FEEDBACK}<name>")
    kind: MetricKind = "mean"
    per: Per = Field(default="request", description="Of each request, or of each exposed unit")
    better: Better = "lower"
    cap: float | None = Field(
        default=None,
        description=(
            "Larger values count as this one, so that no single request or report carries the result; not "
            "for metrics per unit"
        ),
    )
    denominator: str | None = Field(
        default=None,
        description="Of a ratio, which is never per unit: the source it divides by, such as requests",
    )
    quantile: float | None = Field(default=None, description="Of a quantile: a fraction such as 0.95")

    def metric(self, key: str) -> Metric:
        """Return the metric. Raises InvalidDefinition for the first rule it breaks."""
        metric = msgspec.convert(self.model_dump(exclude={"key"}) | {"key": key}, Metric)
        check_metric(metric)
        return metric


class NewMetric(MetricBody):
    """A metric to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "solved",
                "description": "Share of users who said that their problem was solved",
                "source": "feedback:solved",
                "kind": "proportion",
                "per": "unit",
                "better": "higher",
            }
        }
    )
    key: Key


class MetricView(Resource):
    """A metric. A missing value counts nowhere: it is never taken for 0."""

    key: str
    description: str
    source: str
    kind: MetricKind
    per: Per
    better: Better
    cap: float | None
    denominator: str | None
    quantile: float | None
    unit: str
    built_in: bool

    @classmethod
    def of(cls, metric: Metric) -> MetricView:
        """Return what callers see of a metric."""
        fields: dict[str, Any] = msgspec.structs.asdict(metric)
        return cls(**fields, unit=metric.unit, built_in=BUILT_IN.get(metric.key) == metric)
