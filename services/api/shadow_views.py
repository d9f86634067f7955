"""Comparisons of a shadow as callers see them. Where there is no number, ``insufficient`` says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from analytics.paired import PairedDifference
from analytics.results import Insufficient
from analytics.wilson import Rate
from services.api.experiment_views import WaitingFor
from services.domain.events import Likeness, Side
from services.domain.experiment import Conclusion, ExperimentStatus
from services.domain.shadow_report import Measured, ShadowReport
from services.storage.comparisons import Coverage, StoredComparison

Match = Literal["exact", "normalised", "similar", "different"]


class RateView(BaseModel):
    """A rate and its interval, which is right for one look."""

    rate: float | None
    lower: float | None
    upper: float | None
    level: float | None
    n: int
    insufficient: str | None

    @classmethod
    def of(cls, found: Rate | Insufficient) -> RateView:
        """Return what callers see of a rate."""
        if isinstance(found, Insufficient):
            return cls(rate=None, lower=None, upper=None, level=None, n=0, insufficient=found.reason)
        limits, lacking = _limits(found.interval)
        return cls(rate=found.rate, n=found.samples, insufficient=lacking, **limits)


class MeasureView(BaseModel):
    """A measure of both over the same requests. ``difference`` is the shadow's minus production's.

    The interval of the difference may be looked at at any time.
    """

    unit: str
    production_mean: float | None
    shadow_mean: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    level: float | None
    n: int
    insufficient: str | None

    @classmethod
    def of(cls, unit: str, found: Measured) -> MeasureView:
        """Return what callers see of a measure."""
        means = {"production_mean": found.production, "shadow_mean": found.shadow}
        difference = found.difference
        if not isinstance(difference, PairedDifference):
            nothing = dict.fromkeys(("difference", "lower", "upper", "level"))
            return cls(unit=unit, n=0, insufficient=difference.reason, **means, **nothing)
        limits, lacking = _limits(difference.interval)
        return cls(
            unit=unit,
            difference=difference.mean,
            n=difference.pairs,
            insufficient=lacking,
            **means,
            **limits,
        )


class CoverageView(BaseModel):
    """What became of the sampled requests: sampled = compared + failed + shed + under_way.

    ``failed``: the shadow, or production, gave no answer to compare. ``under_way`` includes what was lost
    with a gateway that was killed.
    """

    sampled: int
    compared: int
    failed: int
    shed: int
    shed_because: dict[str, int]
    under_way: int

    @classmethod
    def of(cls, coverage: Coverage) -> CoverageView:
        """Return what callers see of a coverage."""
        return cls(
            sampled=coverage.sampled,
            compared=coverage.compared,
            failed=coverage.failed,
            shed=sum(coverage.shed.values()),
            shed_because=dict(coverage.shed),
            under_way=coverage.under_way,
        )


class MatchView(BaseModel):
    """How often both said the same. ``similar`` is from the experiment's threshold on."""

    exact: RateView
    normalised: RateView
    similar: RateView
    similarity_threshold: float
    mean_similarity: float | None
    tool_calls: RateView = Field(description="Among the answers of which at least one called a tool")


class ReportView(BaseModel):
    """What all comparisons say together. Error rates are among all that were mirrored."""

    comparisons: int
    match: MatchView
    latency: MeasureView
    shadow_faster: RateView
    completion_tokens: MeasureView
    cost: MeasureView
    production_error_rate: RateView
    shadow_error_rate: RateView
    shadow_cost_dollars: float = Field(description="Of everything the shadow answered, and nobody else's")

    @classmethod
    def of(cls, report: ShadowReport, threshold: float, coverage: Coverage) -> ReportView:
        """Return what callers see of a report."""
        return cls(
            comparisons=report.compared,
            match=MatchView(
                exact=RateView.of(report.exact),
                normalised=RateView.of(report.normalised),
                similar=RateView.of(report.similar),
                similarity_threshold=threshold,
                mean_similarity=report.mean_similarity,
                tool_calls=RateView.of(report.tool_calls),
            ),
            latency=MeasureView.of("seconds", report.latency_seconds),
            shadow_faster=RateView.of(report.shadow_faster),
            completion_tokens=MeasureView.of("tokens", report.completion_tokens),
            cost=MeasureView.of("dollars", report.cost_dollars),
            production_error_rate=RateView.of(report.production_errors),
            shadow_error_rate=RateView.of(report.shadow_errors),
            shadow_cost_dollars=coverage.cost_nanos / 1e9,
        )


class SideView(BaseModel):
    """What production, or the shadow, did with one request."""

    variant: str
    status: str
    http_status: int
    latency_seconds: float
    first_token_seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_dollars: float | None
    text: str | None

    @classmethod
    def of(cls, side: Side, text: str | None) -> SideView:
        """Return what callers see of a side."""
        first_token, cost = side.first_token_us, side.cost_nanos
        return cls(
            variant=side.variant_key,
            status=side.status.name.lower(),
            http_status=side.http_status,
            latency_seconds=side.latency_us / 1e6,
            first_token_seconds=None if first_token is None else first_token / 1e6,
            prompt_tokens=side.prompt_tokens,
            completion_tokens=side.completion_tokens,
            cost_dollars=None if cost is None else cost / 1e9,
            text=text,
        )


class ComparisonView(BaseModel):
    """One mirrored request. ``match`` is None where one of the two gave no answer."""

    request_id: str
    at: datetime
    streamed: bool
    production: SideView
    shadow: SideView
    latency_difference_seconds: float
    match: Match | None
    similarity: float | None
    tool_calls_match: bool | None

    @classmethod
    def of(cls, stored: StoredComparison, threshold: float) -> ComparisonView:
        """Return what callers see of a comparison."""
        one, texts = stored.comparison, stored.texts or (None, None)
        alike = one.likeness
        return cls(
            request_id=one.comparison_id.hex,
            at=datetime.fromtimestamp(one.occurred_at_us / 1e6, UTC),
            streamed=one.streamed,
            production=SideView.of(one.production, texts[0]),
            shadow=SideView.of(one.shadow, texts[1]),
            latency_difference_seconds=(one.shadow.latency_us - one.production.latency_us) / 1e6,
            match=None if alike is None else _match(alike, threshold),
            similarity=None if alike is None else alike.similarity,
            tool_calls_match=None if alike is None else alike.tool_calls,
        )


class ComparisonsView(BaseModel):
    """The report on a shadow, and its newest comparisons. ``no_comparisons`` says why there are none."""

    experiment: str
    experiment_id: UUID
    status: ExperimentStatus
    conclusion: Conclusion | None
    production: str
    shadow: str
    waiting_for: WaitingFor | None
    no_comparisons: str | None
    coverage: CoverageView
    report: ReportView | None
    items: list[ComparisonView]


def _match(alike: Likeness, threshold: float) -> Match:
    if alike.exact:
        return "exact"
    if alike.normalised:
        return "normalised"
    return "similar" if alike.similarity >= threshold else "different"


def _limits(interval: object) -> tuple[dict[str, float | None], str | None]:
    if isinstance(interval, Insufficient):
        return dict.fromkeys(("lower", "upper", "level")), interval.reason
    return {name: getattr(interval, name) for name in ("lower", "upper", "level")}, None
