"""1,000 random cases beside gbstats 0.8.0: equal to 1e-6 where the methods are the same, and where not.

The differences are meant; `docs/statistics.md` says why for each.
"""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analytics.bayesian import NormalPrior, Posterior, bayesian
from analytics.buckets import BucketSums, bucketed_mean
from analytics.columns import TickCounts
from analytics.comparison import Comparison, fixed_horizon
from analytics.estimates import Effect, Estimate
from analytics.evidence import Evidence
from analytics.means import SampleSums, sample_mean
from analytics.proportions import EventCounts, proportion
from analytics.results import Insufficient
from analytics.sample_ratio import SampleRatio, SplitCounts, sample_ratio
from analytics.sequential import sequential
from analytics.two_sided import two_sided_evidence
from tests.integration.analytics.environment import SKIP, answers
from tests.integration.analytics.random_cases import Case, by_leverage, our_estimates, random_cases

CASES = 1_000
TOLERANCE = 1e-6

pytestmark = pytest.mark.skipif(os.environ.get(SKIP) == "1", reason=f"{SKIP}=1")


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return random_cases(np.random.default_rng(20_261), CASES)


@pytest.fixture(scope="module")
def told(cases: list[Case]) -> list[dict[str, Any]]:
    return answers(cases)


def compared(
    cases: list[Case],
    told: list[dict[str, Any]],
    what: str,
    ours: Callable[[Case, Estimate, Estimate, Effect], Comparison | Posterior | Insufficient],
    effect: Effect,
) -> int:
    """How many cases were compared; every one of them must agree in point and interval, and in the rest."""
    count = 0
    for case, answer in zip(cases, told, strict=True):
        treatment, control = our_estimates(case)
        result, theirs = ours(case, treatment, control, effect), answer[effect][what]
        if isinstance(result, Insufficient):
            assert _meant(result, control, effect)
            continue
        width = result.upper - result.lower
        assert result.point == pytest.approx(theirs["point"], abs=TOLERANCE * width)
        assert [result.lower, result.upper] == pytest.approx(theirs["interval"], abs=TOLERANCE * width)
        if isinstance(result, Comparison):
            assert result.p_value == pytest.approx(theirs["p"], rel=TOLERANCE, abs=1e-14)
        else:
            assert result.chance_to_beat_control == pytest.approx(theirs["chance"], abs=TOLERANCE)
            for loss in ("loss_of_treatment", "loss_of_control"):
                if math.isfinite(theirs[loss]):  # theirs is 0·∞ where one choice is certain
                    assert getattr(result, loss) == pytest.approx(theirs[loss], abs=TOLERANCE * width)
        count += 1
    return count


def _meant(result: Insufficient, control: Estimate, effect: Effect) -> bool:
    """Deliberate: no relative effect of a mean that is not clearly different from 0."""
    near_zero = abs(control.unadjusted_mean) < 2.0 * control.standard_error
    return effect is Effect.RELATIVE and near_zero and "close to 0" in result.reason


@pytest.mark.parametrize("effect", Effect)
def test_fixed_horizon(cases: list[Case], told: list[dict[str, Any]], effect: Effect) -> None:
    def ours(case: Case, treatment: Estimate, control: Estimate, effect: Effect) -> Comparison | Insufficient:
        return fixed_horizon(treatment, control, alpha=case["alpha"], effect=effect)

    assert compared(cases, told, "fixed_horizon", ours, effect) > 0.95 * CASES


def our_sequence(
    case: Case, treatment: Estimate, control: Estimate, effect: Effect
) -> Comparison | Insufficient:
    # Deliberate: ours begins at 30 degrees of freedom; the formulas are compared from the start.
    enough = [replace(estimate, degrees=max(30.0, estimate.degrees)) for estimate in (treatment, control)]
    return sequential(*enough, alpha=case["alpha"], effect=effect, tuned_for=case["tuned_for"])


def test_sequential(cases: list[Case], told: list[dict[str, Any]]) -> None:
    assert compared(cases, told, "sequential", our_sequence, Effect.ABSOLUTE) > 0.95 * CASES


def test_difference_relative_sequences(cases: list[Case], told: list[dict[str, Any]]) -> None:
    """They: the delta method. We: the same point, by Fieller, with the p of the absolute difference."""
    count = 0
    for case, answer in zip(cases, told, strict=True):
        result = our_sequence(case, *our_estimates(case), Effect.RELATIVE)
        if isinstance(result, Insufficient):
            continue
        assert result.point == pytest.approx(answer[Effect.RELATIVE]["sequential"]["point"], rel=TOLERANCE)
        assert result.p_value == pytest.approx(
            answer[Effect.ABSOLUTE]["sequential"]["p"], rel=TOLERANCE, abs=1e-14
        )
        count += 1
    assert count > 0.7 * CASES


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("belief", ["flat", "proper"])
def test_bayesian(cases: list[Case], told: list[dict[str, Any]], belief: str, effect: Effect) -> None:
    def ours(case: Case, treatment: Estimate, control: Estimate, effect: Effect) -> Posterior | Insufficient:
        prior = NormalPrior(case["prior_mean"], case["prior_deviation"]) if belief == "proper" else None
        return bayesian(treatment, control, prior=prior, alpha=case["alpha"], effect=effect)

    assert compared(cases, told, belief, ours, effect) > 0.95 * CASES


@pytest.mark.parametrize("equal", [True, False])
def test_cluster_variance_of_a_fraction(equal: bool) -> None:
    """The variance under a quantile's interval: the same for equal clusters, and else but for leverage.

    What is made of it differs.
    """
    random = np.random.default_rng(3)
    cases = []
    for _ in range(100):
        n = random.integers(1, 200, random.integers(3, 60))
        n[:] = n[0] if equal else n
        cases.append({"kind": "cluster_variance", "n": n.tolist(), "s": random.binomial(n, 0.5).tolist()})
    for case, theirs in zip(cases, answers(cases), strict=True):
        sums = BucketSums.of(case["n"], case["s"])
        ours = bucketed_mean(sums)
        assert isinstance(ours, Estimate)
        leverage = 1.0 if equal else by_leverage(sums)
        assert ours.variance == pytest.approx(theirs["variance"] * leverage, rel=TOLERANCE)


def test_difference_a_cluster_with_most_of_the_samples() -> None:
    """They: its small residual at its face. We: what leaving the cluster out does to the mean."""
    n, s = [900.0, 40.0, 30.0, 30.0], [450.0, 10.0, 20.0, 15.0]
    theirs = answers([{"kind": "cluster_variance", "n": n, "s": s}])[0]["variance"]
    ours = bucketed_mean(BucketSums.of(n, s))
    assert isinstance(ours, Estimate)
    without = [(sum(s) - of_s) / (sum(n) - of_n) for of_n, of_s in zip(n, s, strict=True)]
    assert ours.variance == pytest.approx(3 / 4 * sum((m - sum(s) / sum(n)) ** 2 for m in without))
    assert ours.variance > 1.1 * theirs


SETTINGS = {"alpha": 0.05, "tuned_for": 5_000.0, "prior_mean": 0.0, "prior_deviation": 1.0}


def one(case: Case) -> dict[str, Any]:
    return answers([SETTINGS | case])[0]


def test_difference_a_control_without_errors() -> None:
    """They: p = 1 and (0, 0). We: no normal result, and overwhelming exact evidence beside it."""
    counts = {"treatment": {"n": 500, "events": 40}, "control": {"n": 500, "events": 0}}
    theirs = one({"kind": "proportion"} | counts)["absolute"]["fixed_horizon"]
    assert (theirs["p"], theirs["interval"]) == (1, [0, 0])
    treatment, control = proportion(EventCounts(500, 40)), proportion(EventCounts(500, 0))
    assert isinstance(fixed_horizon(treatment, control), Insufficient)
    exact = two_sided_evidence([TickCounts(0, 0.5, 40, 0, 960)], alpha=0.05)
    assert isinstance(exact, Evidence)
    assert exact.p_value < 1e-9


def test_difference_a_control_mean_of_zero() -> None:
    """They: p = 1 also for the absolute difference. We: the absolute difference, and no relative one."""
    values = {"treatment": [1.0, 2.0, 3.0, 2.0], "control": [-1.0, 1.0, -0.5, 0.5]}
    data = {variant: {"values": given} for variant, given in values.items()}
    assert one({"kind": "mean"} | data)["absolute"]["fixed_horizon"]["p"] == 1
    treatment, control = (sample_mean(SampleSums.of(given)) for given in values.values())
    absolute = fixed_horizon(treatment, control)
    assert isinstance(absolute, Comparison)
    assert absolute.p_value < 0.05
    assert isinstance(fixed_horizon(treatment, control, effect=Effect.RELATIVE), Insufficient)


def test_difference_a_negative_control_mean() -> None:
    """They: a gain over a negative mean is a negative fraction. We: a gain is positive."""
    values = {"treatment": [-1.0, -2.0, -3.0, -2.0], "control": [-4.0, -5.0, -6.0, -4.5]}
    data = {variant: {"values": given} for variant, given in values.items()}
    theirs = one({"kind": "mean"} | data)["relative"]["fixed_horizon"]
    treatment, control = (sample_mean(SampleSums.of(given)) for given in values.values())
    ours = fixed_horizon(treatment, control, effect=Effect.RELATIVE)
    assert isinstance(ours, Comparison)
    assert ours.point > 0.0 > theirs["point"]
    assert ours.point == pytest.approx(-theirs["point"])
    assert ours.p_value == pytest.approx(theirs["p"])


def test_difference_far_out() -> None:
    """They: p = 0 by subtraction from 1. We: the survival function, and its logarithm below that."""
    counts = {"treatment": {"n": 100_000, "events": 40_000}, "control": {"n": 100_000, "events": 20_000}}
    theirs = one({"kind": "proportion"} | counts)["absolute"]["fixed_horizon"]
    ours = fixed_horizon(*(proportion(EventCounts(**counts[v])) for v in ("treatment", "control")))
    assert isinstance(ours, Comparison)
    assert theirs["p"] == 0.0 < ours.p_value
    assert ours.log_p_value < -1_000.0


def test_difference_a_ramp_is_no_sample_ratio_mismatch() -> None:
    """They: χ² of the totals against one split, which ramps fail. We: each unit against its own split."""
    ramp = [SplitCounts((0.95, 0.05), (9_520, 480)), SplitCounts((0.5, 0.5), (4_980, 5_020))]
    totals = [sum(row.units[v] for row in ramp) for v in (0, 1)]
    theirs = answers([{"kind": "sample_ratio", "units": totals, "shares": [0.5, 0.5]}])[0]
    ours = sample_ratio(ramp)
    assert isinstance(ours, SampleRatio)
    assert theirs["p"] < 1e-6
    assert not ours.flagged
