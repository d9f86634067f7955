"""An A/B test, from sums to at most one decision: findings, verdicts, the policy's rules.

Everything here is a pure function of ``ABTestInputs``, which are stored with each decision: whoever has the
inputs can recompute it to the bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analytics.results import Insufficient
from analytics.sample_ratio import SampleRatio, SplitCounts, sample_ratio
from services.domain.ab_findings import SMALLEST_P, Finding, Measured, adjust, find, measure
from services.domain.ab_guardrails import FirstEvents, first_events, guardrail_verdict
from services.domain.ab_inputs import ABTestInputs
from services.domain.ab_policy import TestSituation, Winner, judge_test
from services.domain.canary import KillSwitch
from services.domain.counts import Count, Integers
from services.domain.memory import Memory
from services.domain.outage import outage, window
from services.domain.policy import Act, Health, Judgement, Verdict, VerdictName, restrained

METHOD = "ab_test/3"
"""Changes whenever the same sums could lead to another decision.

``ab_test/1`` compared shares from the first event on, left out what a ratio had no denominator for, and read
scores of what another metric took for a yes or no as that. ``ab_test/2`` kept a fifth of a guardrail's
capital in reserve instead of an eighth, compared means that a few large values decided, let guardrails decide
before their variances were known, and promoted while one had nothing to say. Their decisions may come out
differently now.
"""

SWITCH = KillSwitch()
"""A treatment of a test is pulled at the same error rate as a canary's."""


@dataclass(frozen=True, eq=False, slots=True)
class Compared:
    """A finding in the light of the others: ``adjusted_p`` is corrected for all that were planned."""

    metric: str
    treatment: int
    finding: Finding | Insufficient
    adjusted_p: float | None


@dataclass(frozen=True, eq=False, slots=True)
class ABTestEvaluation:
    """What the sums say, and what follows from it."""

    inputs: ABTestInputs
    units: tuple[int, ...]
    measured: Mapping[str, Measured]
    first_events: FirstEvents
    goals: tuple[Compared, ...]
    secondary: tuple[Compared, ...]
    ratio: SampleRatio | Insufficient
    situation: TestSituation
    judgement: Judgement

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts on guardrails, goals and secondary metrics, in this order."""
        return (*self.situation.guardrails, *self.situation.goals, *self.situation.secondary)

    @property
    def figures(self) -> dict[str, float]:
        """The figures a decision rests on: those of the verdict that led to it."""
        winner, guardrails = self.situation.winner, self.situation.guardrails
        failed = [verdict.figures for verdict in guardrails if verdict.verdict == "fail"]
        if failed:
            return failed[0]
        if _promotes(self.judgement) and winner is not None:
            return winner.figures
        return next((verdict.figures for verdict in guardrails if verdict.verdict == "pass"), {})

    def evidence(self) -> dict[str, Any]:
        """What a decision rests on, as JSON: its figures by name, and everything that was judged."""
        inputs, situation = self.inputs, self.situation
        return {
            **self.figures,
            "judgement": {"kind": type(self.judgement).__name__.lower(), **asdict(self.judgement)},
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "guardrails": [asdict(verdict) for verdict in situation.guardrails],
            "goals": [asdict(verdict) for verdict in situation.goals],
            "secondary": [asdict(verdict) for verdict in situation.secondary],
            "totals": {key: _totals(inputs, index) for index, key in enumerate(inputs.variants)},
            "sample_ratio": _ratio_body(self.ratio),
            "units": situation.units,
            "phase": inputs.phase,
            "evidence_age_seconds": inputs.evidence_age_seconds,
            "method": METHOD,
        }

    def body(self) -> dict[str, Any]:
        """The evidence, as the newest evaluation shows it; the results have tables of their own."""
        return self.evidence()

    def inputs_body(self) -> dict[str, Any]:
        """The inputs as JSON, to be stored with a decision."""
        return self.inputs.body()


def evaluate_test(inputs: ABTestInputs, memory: Memory | None = None) -> ABTestEvaluation:
    """Judge an A/B test on its sums. The memory of earlier evaluations saves time and changes nothing."""
    definition = inputs.definition
    measured = {
        metric.key: measure(
            metric,
            inputs.buckets,
            inputs.sketches,
            has_covariate=definition.covariate_header is not None,
        )
        for metric in definition.metrics
    }
    goals = _compare(inputs, measured, definition.goals, by_holm=True)
    secondary = _compare(inputs, measured, definition.secondary, by_holm=False)
    totals, events = inputs.totals, first_events(inputs)
    units = tuple(int(counted[Count.FIRST_REQUESTS]) for counted in totals)
    ratio = _sample_ratio(inputs, units)
    health, health_sentence = _health(inputs)
    situation = TestSituation(
        guardrails=_guardrails(inputs, measured, totals, events, Memory() if memory is None else memory),
        goals=tuple(_verdict(inputs, one) for one in goals),
        secondary=tuple(_verdict(inputs, one) for one in secondary),
        winner=_winner(inputs, goals),
        promotes=definition.on_winner == "promote",
        health=health,
        health_sentence=health_sentence,
        mismatch=_mismatch(ratio),
        units=min(units),
        minimum_units=definition.minimum_units,
        minutes_running=inputs.minutes_running,
        planned_minutes=definition.planned_duration_minutes,
        evidence_age_seconds=inputs.evidence_age_seconds,
    )
    judgement = restrained(judge_test(situation), definition.mode, inputs.freeze)
    return ABTestEvaluation(inputs, units, measured, events, goals, secondary, ratio, situation, judgement)


def _compare(
    inputs: ABTestInputs, measured: Mapping[str, Measured], keys: tuple[str, ...], *, by_holm: bool
) -> tuple[Compared, ...]:
    """Compare each treatment on each of these metrics, and correct for all of them."""
    planned = list(itertools.product(keys, inputs.treatments))
    findings = [find(measured[key], index, alpha=inputs.definition.alpha) for key, index in planned]
    adjusted = adjust(findings, by_holm=by_holm)
    return tuple(
        Compared(key, index, finding, p)
        for (key, index), finding, p in zip(planned, findings, adjusted, strict=True)
    )


def _guardrails(
    inputs: ABTestInputs,
    measured: Mapping[str, Measured],
    totals: Sequence[Integers],
    events: FirstEvents,
    memory: Memory,
) -> tuple[Verdict, ...]:
    definition = inputs.definition
    planned = list(itertools.product(definition.guardrails, inputs.treatments))
    return tuple(
        guardrail_verdict(
            guardrail,
            measured[guardrail.metric],
            treatment,
            inputs,
            totals,
            events,
            alpha=definition.alpha_guardrail / len(planned),
            memory=memory.of((guardrail.metric, treatment)),
        )
        for guardrail, treatment in planned
    )


def _verdict(inputs: ABTestInputs, compared: Compared) -> Verdict:
    finding, variant = compared.finding, inputs.variants[compared.treatment]
    if isinstance(finding, Insufficient) or compared.adjusted_p is None:
        reason = finding.reason if isinstance(finding, Insufficient) else "there is no result"
        return Verdict(
            compared.metric, "no_data", f"{compared.metric} of {variant}: {reason}", variant=variant
        )
    figures = {
        "difference": finding.point,
        "lower": finding.lower,
        "upper": finding.upper,
        "p_value": finding.p_value,
        "adjusted_p_value": compared.adjusted_p,
        "n": finding.n,
    }
    verdict, found = _better_or_worse(finding, compared.adjusted_p, inputs.definition.alpha)
    sentence = f"{compared.metric} of {variant} {found}: {_seen(finding)}, {_p_text(compared.adjusted_p)}"
    return Verdict(compared.metric, verdict, sentence, figures, variant)


def _seen(finding: Finding) -> str:
    """The effect and its interval; of shares in percentage points, since a percentage would look relative."""
    scale, unit = (100.0, "points") if finding.metric.unit == "fraction" else (1.0, finding.metric.unit)
    point, lower, upper = (f"{scale * value:+.4g}" for value in (finding.point, finding.lower, finding.upper))
    return f"{point} {unit} [{lower}, {upper}]"


def _p_text(p_value: float) -> str:
    """A p-value; below what is looked for it is only known to be smaller."""
    return f"p < {10 * SMALLEST_P:.0g}" if p_value < 10 * SMALLEST_P else f"p = {p_value:.2g}"


def _better_or_worse(finding: Finding, adjusted_p: float, alpha: float) -> tuple[VerdictName, str]:
    if adjusted_p > alpha:
        return "inconclusive", "is not told apart from the control's"
    return ("pass", "is better") if finding.gain > 0.0 else ("fail", "is worse")


def _winner(inputs: ABTestInputs, goals: tuple[Compared, ...]) -> Winner | None:
    """The treatment to promote: better on a goal, worse on none; of several, the best by the first goal.

    To be better takes a p-value corrected for all goals and treatments. To be worse takes no correction: it
    can only keep a treatment from being promoted.
    """
    alpha = inputs.definition.alpha
    for key in inputs.definition.goals:
        better = [
            (one.finding.gain, -one.treatment)
            for one in goals
            if one.metric == key
            and isinstance(one.finding, Finding)
            and one.adjusted_p is not None
            and one.adjusted_p <= alpha
            and one.finding.gain > 0.0
            and not _is_worse_somewhere(goals, one.treatment, alpha)
        ]
        if better:
            treatment = -max(better)[1]
            spoke = next(one for one in goals if (one.metric, one.treatment) == (key, treatment))
            verdict = _verdict(inputs, spoke)
            return Winner(inputs.variants[treatment], verdict.sentence, verdict.figures)
    return None


def _is_worse_somewhere(goals: tuple[Compared, ...], treatment: int, alpha: float) -> bool:
    return any(
        one.finding.p_value <= alpha and one.finding.gain < 0.0
        for one in goals
        if one.treatment == treatment and isinstance(one.finding, Finding)
    )


def _sample_ratio(inputs: ABTestInputs, units: tuple[int, ...]) -> SampleRatio | Insufficient:
    shares = tuple(weight / sum(inputs.weights_bp) for weight in inputs.weights_bp)
    return sample_ratio([SplitCounts(shares, units)])


def _mismatch(ratio: SampleRatio | Insufficient) -> str:
    if isinstance(ratio, Insufficient) or not ratio.flagged:
        return ""
    return (
        f"the units did not arrive in the proportions they were assigned in (p = {ratio.p_value:.2g}); "
        "do not believe the results before the reason is found"
    )


def _ratio_body(ratio: SampleRatio | Insufficient) -> dict[str, Any]:
    if isinstance(ratio, Insufficient):
        return {"insufficient": ratio.reason}
    return {"flagged": ratio.flagged, "log_e_value": ratio.log_e_value, "p_value": ratio.p_value}


def _health(inputs: ABTestInputs) -> tuple[Health, str]:
    """What the worst of the treatments is, with its sentence."""
    counts, now = inputs.counts, inputs.now_tick
    control = window(counts, counts.of_variant(0), now_tick=now, minutes=1)
    found: tuple[Health, str] = ("fine", "")
    for index in inputs.treatments:
        treatment = window(counts, counts.of_variant(index), now_tick=now, minutes=1)
        health, sentence = outage(treatment, control, SWITCH, name=inputs.variants[index])
        if health == "treatment_down":
            return health, sentence
        if health == "both_down":
            found = health, sentence
    return found


def _totals(inputs: ABTestInputs, index: int) -> dict[str, int]:
    sums = inputs.counts.sums(inputs.counts.of_variant(index))
    return {
        "requests": int(sums[Count.REQUESTS]),
        "errors": int(sums[Count.ERRORS]),
        "content_filters": int(sums[Count.CONTENT_FILTERS]),
        "units": int(sums[Count.FIRST_REQUESTS]),
    }


def _promotes(judgement: Judgement) -> bool:
    return isinstance(judgement, Act) and judgement.action == "promote"
