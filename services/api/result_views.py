"""Results as callers see them. Where there is no number, ``insufficient`` says why."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.api.experiment_views import WaitingFor
from services.domain.experiment import Conclusion, ExperimentKind, ExperimentStatus

MetricRole = Literal["goal", "secondary", "guardrail", "shown"]


class Figure(BaseModel):
    """A metric of one variant, in the metric's unit."""

    metric: str
    role: MetricRole
    statistic: str
    method: str
    value: float | None
    lower: float | None
    upper: float | None
    level: float | None
    n: int
    unit: str
    may_be_peeked_at: bool
    insufficient: str | None


class VariantResult(BaseModel):
    """What one variant did in the phase. With ``at``, what the recorded results say of it."""

    key: str
    role: Literal["control", "treatment"]
    units: int | None = Field(description="Units exposed for the first time")
    requests: int | None
    error_rate: float | None = Field(description="The share of requests left without an answer")
    latency_mean_seconds: float | None = Field(
        description="Mean time to the whole answer, of requests that got one; a few seconds behind"
    )
    satisfaction_rate: float | None
    metrics: list[Figure]


class ComparisonResult(BaseModel):
    """A treatment beside the control, by one method.

    ``significant`` compares ``adjusted_p_value`` with 1 − ``level``. Goals and secondary metrics have one in
    every test, corrected for all that were planned; what has none is null. Of other metrics ``p_value``
    is compared, or else the interval asked whether it leaves out 0. A ``fixed_horizon`` comparison means
    something only from ``readable_from`` and is not ``significant`` before; where the phase ended earlier, it
    has no number, and ``insufficient`` says so.
    """

    metric: str
    role: MetricRole
    variant: str
    comparison_to: str
    statistic: str
    method: str
    point: float | None
    lower: float | None
    upper: float | None
    level: float | None
    p_value: float | None
    adjusted_p_value: float | None
    significant: bool | None
    better: Literal["lower", "higher"] | None
    n: int
    may_be_peeked_at: bool
    readable_from: datetime | None
    exploratory: bool
    insufficient: str | None


class StillNeeded(BaseModel):
    """What it takes until a metric is decided, if things stay as they are seen now. It swings early on."""

    metric: str
    variant: str
    units: int
    units_needed: int | None
    units_missing: int | None
    minutes_missing: float | None
    sentence: str


class VariantUnits(BaseModel):
    """A variant's part of the units."""

    units: int
    share: float | None
    assigned_share: float | None


class SampleRatioResult(BaseModel):
    """Whether the units' parts can be what they were assigned. ``flagged``: hardly; do not trust the rest."""

    flagged: bool | None
    p_value: float | None
    variants: dict[str, VariantUnits]
    sentence: str


class DataQuality(BaseModel):
    """What was noticed about the data; the last four are of the whole installation."""

    multiply_exposed: int = 0
    late_outcomes: int = 0
    late_feedback: int = 0
    duplicate_feedback: int = 0
    feedback: int = 0
    unread_feedback: int = 0
    unreadable_feedback: int = 0
    outcomes_missing: int
    outcomes_lost: int
    duplicates_dropped: int
    dead_lettered: int


class PhaseView(BaseModel):
    """A stretch with a fixed split. ``weights`` and ``traffic_share`` are null for a canary's ramp."""

    phase: int
    started_at: datetime
    ended_at: datetime | None
    weights: dict[str, float] | None
    traffic_share: float | None


class ResultsView(BaseModel):
    """The results of one phase of an experiment, over everything or in one segment."""

    experiment: str
    kind: ExperimentKind
    status: ExperimentStatus
    conclusion: Conclusion | None
    phase: int
    segment: str
    as_of: datetime | None = Field(description="Up to when the data is evaluated")
    recorded_at: datetime | None = Field(description="With `at`: when these results were recorded")
    no_results: str | None = Field(description="Why there are none yet, where there are none")
    variants: list[VariantResult]
    comparisons: list[ComparisonResult]
    still_needed: list[StillNeeded]
    waiting_for: WaitingFor | None
    sample_ratio: SampleRatioResult | None
    data_quality: DataQuality | None = Field(
        description="As of now; null with `at`, since it is not recorded"
    )
    segments: list[str] = Field(description="What `segment` may be")
    phases: list[PhaseView] = Field(description="What `phase` may be")
