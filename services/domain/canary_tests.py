"""The tests of a canary: what each guardrail and the promotion rest on.

Where two tests are run, each has half of the error budget and one that is convinced is enough: the exact one
counts independent observations only and is best with many units; the cluster-robust one reads every request
and has the power with few, busy units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from analytics.buckets import BucketSums
from analytics.eprocess import PathMemory
from analytics.evidence import Evidence, promotion_evidence, rollback_evidence
from analytics.latency import LatencyEvidence, latency_evidence
from analytics.not_worse import NotWorse, cluster_robust_not_worse
from analytics.ramp import StepSums, over_ramp
from analytics.results import Insufficient
from analytics.slower import Slower, cluster_robust_slower
from services.domain.assignment import BASIS_POINTS
from services.domain.bucket_table import BucketTable
from services.domain.canary import Guardrail
from services.domain.counts import (
    CountTable,
    event_columns,
    first_content_filters,
    first_errors,
    first_requests,
    latencies,
)
from services.domain.events import Role
from services.domain.metric import BUILT_IN, Metric
from services.domain.metric_sums import metric_sums
from services.domain.policy import Verdict, VerdictName

DOUBT = 10.0
"""Evidence from which a guardrail is in doubt: the ramp waits, as E falls again where nothing is wrong."""

ERROR_RATE = BUILT_IN["error_rate"]
LOG_LATENCY = Metric(key="log_latency", source="log_latency")
TESTED_COLUMNS = ("error", "log_latency")
"""The columns of the bucket sums that decide about a canary."""

Totals = Mapping[Role, dict[str, int]]


class StepBuckets(msgspec.Struct, frozen=True):
    """The sums by analysis bucket of both roles, counted while the treatment had one share."""

    share_bp: int
    control: BucketTable
    treatment: BucketTable


def guardrail_verdict(
    guardrail: Guardrail,
    counts: CountTable,
    buckets: Sequence[StepBuckets],
    totals: Totals,
    *,
    first_tick: int,
    planned_ticks: int,
    alpha: float,
    memory: PathMemory | None = None,
) -> Verdict:
    """Judge a guardrail on rows that were counted while both roles were served."""
    metric = guardrail.metric
    if not totals[Role.TREATMENT]["requests"]:
        return Verdict(metric, "no_data", f"{metric}: no request of the treatment is counted yet")
    if metric == "latency":
        exact = _slower_first_requests(counts, first_tick, planned_ticks, alpha / 2, memory)
        return _latency_verdict(exact, _slower(buckets, alpha / 2), totals)
    events, others = first_errors(counts) if metric == "error_rate" else first_content_filters(counts)
    columns = event_columns(counts, counts.shares, events, others)
    if isinstance(columns, Insufficient):
        return Verdict(metric, "no_data", f"{metric}: {columns.reason}")
    evidence = rollback_evidence(
        columns,
        first_tick=first_tick,
        planned_ticks=planned_ticks,
        alpha=alpha,
        margin=guardrail.margin,
        memory=memory,
    )
    if isinstance(evidence, Insufficient):
        return Verdict(metric, "no_data", f"{metric}: {evidence.reason}")
    figures = _figures(evidence, totals, "errors" if metric == "error_rate" else "content_filters")
    verdict, finding = _worse(evidence)
    sentence = f"{metric} of the treatment {finding}: {_seen(figures)}; {_strength(evidence)}"
    return Verdict(metric, verdict, sentence, figures)


def promotion_verdict(
    counts: CountTable, buckets: Sequence[StepBuckets], totals: Totals, *, alpha: float, margin: float
) -> Verdict:
    """Judge whether the treatment is not worse: by first requests exactly, or by all of them robustly."""
    columns = event_columns(counts, counts.shares, *first_requests(counts))
    exact = (
        columns
        if isinstance(columns, Insufficient)
        else promotion_evidence(columns, alpha=alpha / 2, margin=margin)
    )
    if isinstance(exact, Insufficient):
        return Verdict("not_worse", "no_data", f"promotion: {exact.reason}")
    robust = _not_worse(buckets, alpha / 2, margin)
    figures = {**_figures(exact, totals, "errors"), **_robust_figures(robust)}
    by = f"by {margin:.2%} or more"
    if exact.crossed:
        sentence = f"the treatment is not worse {by}: {_seen(figures)}; {_strength(exact)}"
        return Verdict("not_worse", "pass", sentence, figures)
    if isinstance(robust, NotWorse) and robust.passes:
        sentence = f"the treatment is not worse {by}: {_seen(figures)}; at most {robust.upper:+.2%}"
        return Verdict("not_worse", "pass", sentence, figures)
    sentence = f"not yet shown that the treatment is not worse {by}: {_strength(exact)}"
    if isinstance(robust, NotWorse):
        sentence += f", at most {robust.upper:+.2%}"
    return Verdict("not_worse", "inconclusive", sentence, figures)


def role_sums(buckets: Sequence[StepBuckets], metric: Metric) -> tuple[BucketSums, BucketSums] | Insufficient:
    """Return a metric's sums of treatment and control, over all shares the treatment had."""
    steps = []
    for step in buckets:
        treatment, control = metric_sums(metric, step.treatment), metric_sums(metric, step.control)
        if isinstance(treatment, Insufficient):
            return treatment
        if isinstance(control, Insufficient):
            return control
        steps.append(StepSums(step.share_bp / BASIS_POINTS, treatment.sums, control.sums))
    if not steps:
        return Insufficient("no sums by analysis bucket are written yet")
    if len(steps) == 1:
        return steps[0].treatment, steps[0].control
    return over_ramp(steps)


def _slower_first_requests(
    counts: CountTable, first_tick: int, planned_ticks: int, alpha: float, memory: PathMemory | None
) -> LatencyEvidence | Insufficient:
    columns = latencies(counts, counts.shares)
    if isinstance(columns, Insufficient):
        return columns
    return latency_evidence(
        columns, first_tick=first_tick, planned_ticks=planned_ticks, alpha=alpha, memory=memory
    )


def _slower(buckets: Sequence[StepBuckets], alpha: float) -> Slower | Insufficient:
    sums = role_sums(buckets, LOG_LATENCY)
    return sums if isinstance(sums, Insufficient) else cluster_robust_slower(*sums, alpha=alpha)


def _not_worse(buckets: Sequence[StepBuckets], alpha: float, margin: float) -> NotWorse | Insufficient:
    sums = role_sums(buckets, ERROR_RATE)
    if isinstance(sums, Insufficient):
        return sums
    return cluster_robust_not_worse(*sums, margin=margin, alpha=alpha)


def _latency_verdict(
    exact: LatencyEvidence | Insufficient, robust: Slower | Insufficient, totals: Totals
) -> Verdict:
    if isinstance(exact, Insufficient) and isinstance(robust, Insufficient):
        return Verdict("latency", "no_data", f"latency: {exact.reason}; {robust.reason}")
    figures = _request_figures(totals)
    strengths = []
    if not isinstance(exact, Insufficient):
        figures |= {
            **_evidence_figures(exact),
            "tested_treatment_requests": sum(exact.treatment),
            "tested_control_requests": sum(exact.control),
        }
        strengths.append(_strength(exact))
    if not isinstance(robust, Insufficient):
        figures |= {
            "ratio": robust.ratio,
            "log_ratio_lower": robust.lower,
            "log_robust_p_value": robust.log_p_value,
        }
        strengths.append(f"{robust.ratio:.2f} times the control's")
    verdict, finding = _slower_finding(exact, robust)
    return Verdict("latency", verdict, f"the treatment {finding}: {'; '.join(strengths)}", figures)


def _slower_finding(
    exact: LatencyEvidence | Insufficient, robust: Slower | Insufficient
) -> tuple[VerdictName, str]:
    crossed = looks_so = False
    if not isinstance(exact, Insufficient):
        crossed, looks_so = exact.crossed, exact.e_value >= DOUBT
    if not isinstance(robust, Insufficient):
        crossed = crossed or robust.crossed
        looks_so = looks_so or robust.log_p_value <= -math.log(DOUBT)
    if crossed:
        return "fail", "is slower"
    return ("inconclusive", "looks slower") if looks_so else ("pass", "is not shown to be slower")


def _worse(evidence: Evidence) -> tuple[VerdictName, str]:
    if evidence.crossed:
        return "fail", "is worse"
    if evidence.e_value >= DOUBT:
        return "inconclusive", "looks worse"
    return "pass", "is not shown to be worse"


def _evidence_figures(evidence: Evidence | LatencyEvidence) -> dict[str, float]:
    return {
        "e_value": evidence.e_value,
        "log_e_value": evidence.log_e_value,
        "threshold": evidence.threshold,
        "p_value": evidence.p_value,
    }


def _figures(evidence: Evidence, totals: Totals, events: str) -> dict[str, float]:
    figures = {
        **_evidence_figures(evidence),
        "tested_treatment_events": evidence.treatment_errors,
        "tested_control_events": evidence.control_errors,
        "tested_others": evidence.others,
        **_request_figures(totals),
    }
    for role, counted in totals.items():
        if counted["requests"]:
            figures[f"{role.label}_rate"] = counted[events] / counted["requests"]
    return figures


def _request_figures(totals: Totals) -> dict[str, float]:
    return {f"{role.label}_requests": counted["requests"] for role, counted in totals.items()}


def _robust_figures(robust: NotWorse | Insufficient) -> dict[str, float]:
    if isinstance(robust, Insufficient):
        return {}
    return {
        "robust_difference": robust.point,
        "robust_upper": robust.upper,
        "log_robust_p_value": robust.log_p_value,
    }


def _seen(figures: dict[str, float]) -> str:
    def share(role: str) -> str:
        requests = int(figures[f"{role}_requests"])
        return f"{figures[f'{role}_rate']:.2%} of {requests:,}" if requests else "nothing"

    return f"{share('treatment')} requests against {share('control')}"


def _strength(evidence: Evidence | LatencyEvidence) -> str:
    return f"e = {evidence.e_value:.3g}, decides at {evidence.threshold:.3g}"
