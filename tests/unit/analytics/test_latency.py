"""The exact latency test on first requests."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.latency import (
    LEVELS,
    NO_OBSERVATIONS,
    ODDS_RATIOS,
    Bins,
    LatencyCounts,
    LatencyEvidence,
    bin_of,
    latency_evidence,
    latency_log_factors,
)
from analytics.results import Insufficient

SHARES = st.sampled_from([0.01, 0.05, 0.25, 0.5, 0.9])
BINS = st.tuples(*[st.integers(0, 200)] * 6)
ROWS = st.lists(
    st.builds(LatencyCounts, tick=st.integers(0, 12), share=SHARES, treatment=BINS, control=BINS),
    min_size=1,
    max_size=12,
).filter(lambda rows: any(sum(row.treatment) + sum(row.control) for row in rows))


def evidence_of(rows: Sequence[LatencyCounts], **options: Any) -> LatencyEvidence:
    evidence = latency_evidence(rows, **({"first_tick": 0, "planned_ticks": 10, "alpha": 0.05} | options))
    assert isinstance(evidence, LatencyEvidence)
    return evidence


def one(bin_: int) -> Bins:
    counts = [0] * 6
    counts[bin_] = 1
    return counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]


def test_a_case_by_hand() -> None:
    """One treatment request above p90 but not p95 and one of the control below the median, at w = 1/2."""
    evidence = evidence_of(
        [LatencyCounts(0, 0.5, treatment=one(3)), LatencyCounts(0, 0.5, control=one(0))], planned_ticks=1
    )
    stakes = []
    for level, ratio in product((0.5, 0.75, 0.9, 0.95, 0.99), ODDS_RATIOS):
        of_control = 1 - level
        of_treatment = ratio * of_control / (level + ratio * of_control)
        of_both = (of_control + of_treatment) / 2
        above = level <= 0.9
        factor = of_treatment / of_both if above else (1 - of_treatment) / (1 - of_both)
        stakes.append(factor * (1 - of_control) / (1 - of_both))
    assert evidence.e_value == pytest.approx(sum(stakes) / len(stakes))
    assert (evidence.treatment, evidence.control) == (one(3), one(0))
    assert evidence.observations == 2


def test_capital_is_kept_and_moved_as_planned() -> None:
    """Of ten planned ticks the first has come, so 0.8875 is staked when the observation is seen."""
    row = LatencyCounts(0, 0.5, treatment=one(5))
    assert evidence_of([row]).e_value == pytest.approx(
        0.8875 * evidence_of([row], planned_ticks=1).e_value + 0.1125
    )


@given(share=st.floats(0.001, 0.999), chances=st.lists(st.floats(0.001, 1.0), min_size=6, max_size=6))
def test_no_bet_wins_on_average_while_both_answer_alike(share: float, chances: list[float]) -> None:
    """Whatever the chances of the bins are: the quantiles need not be right."""
    of_bins = np.array(chances) / sum(chances)
    factors = np.exp(latency_log_factors(np.array([share]))[0])
    mean = np.concatenate([share * of_bins, (1.0 - share) * of_bins]) @ factors
    np.testing.assert_allclose(mean, 1.0, rtol=1e-9)


@given(
    share=st.floats(0.001, 0.999),
    chances=st.lists(st.floats(0.001, 1.0), min_size=6, max_size=6),
    shift=st.floats(0.0, 1.0),
)
def test_no_bet_wins_on_average_while_the_treatment_is_faster(
    share: float, chances: list[float], shift: float
) -> None:
    of_control = np.array(chances) / sum(chances)
    of_treatment = (1.0 - shift) * of_control  # a part of every bin moves down by one
    of_treatment[:-1] += shift * of_control[1:]
    of_treatment[0] += shift * of_control[0]
    factors = np.exp(latency_log_factors(np.array([share]))[0])
    mean = np.concatenate([share * of_treatment, (1.0 - share) * of_control]) @ factors
    assert (mean <= 1.0 + 1e-9).all()


@settings(max_examples=20)
@given(
    shares=st.lists(SHARES, min_size=2, max_size=2),
    chances=st.lists(st.floats(0.01, 1.0), min_size=6, max_size=6),
    planned_ticks=st.integers(1, 5),
)
def test_e_is_worth_one_on_average_while_both_answer_alike(
    shares: list[float], chances: list[float], planned_ticks: int
) -> None:
    """Every outcome of two observations is enumerated, at shares that change."""
    of_bins = np.array(chances) / sum(chances)
    worth = 0.0
    for outcome in product(range(12), repeat=2):
        chance, rows = 1.0, []
        for tick, (code, share) in enumerate(zip(outcome, shares, strict=True)):
            treated, which = code < 6, code % 6
            chance *= (share if treated else 1.0 - share) * of_bins[which]
            role = {"treatment" if treated else "control": one(which)}
            rows.append(LatencyCounts(tick, share, **role))
        worth += chance * evidence_of(rows, planned_ticks=planned_ticks).e_value
    assert worth == pytest.approx(1.0, rel=1e-9)


@given(rows=ROWS)
def test_neither_order_nor_roles_apart_change_a_bit(rows: list[LatencyCounts]) -> None:
    apart = [replace(row, control=NO_OBSERVATIONS) for row in rows]
    apart += [replace(row, treatment=NO_OBSERVATIONS) for row in rows]
    assert evidence_of(apart[::-1]) == evidence_of(rows)


@given(rows=ROWS)
def test_adding_rows_changes_nothing(rows: list[LatencyCounts]) -> None:
    merged: dict[tuple[int, float], LatencyCounts] = {}
    for row in rows:
        key = row.tick, row.share
        merged[key] = merged[key] + row if key in merged else row
    assert evidence_of(list(merged.values())) == evidence_of(rows)


@given(rows=ROWS, which=st.integers(0, 100), lower=st.integers(0, 4))
def test_a_slower_treatment_request_speaks_for_it_and_a_slower_control_request_against(
    rows: list[LatencyCounts], which: int, lower: int
) -> None:
    row = rows[which % len(rows)]
    for role, sign in (("treatment", 1.0), ("control", -1.0)):
        faster, slower = (
            evidence_of([*rows, LatencyCounts(row.tick, row.share, **{role: one(bin_)})]).log_e_value
            for bin_ in (lower, lower + 1)
        )
        assert sign * (slower - faster) >= -1e-9


def test_exchanging_roles_at_one_half_exchanges_what_the_factors_say() -> None:
    """At w = 1/2 an observation's two factors have the mean 1, bet by bet."""
    factors = np.exp(latency_log_factors(np.array([0.5]))[0])
    np.testing.assert_allclose(factors[:6] + factors[6:], 2.0)


@given(rows=ROWS)
def test_the_evidence_is_that_of_the_factors_of_each_bin(rows: list[LatencyCounts]) -> None:
    """All in one tick, and everything staked: E is the mean over the bets of the product of the factors."""
    log_stakes = np.zeros(len(LEVELS) * len(ODDS_RATIOS))
    for row in rows:
        log_stakes += (row.treatment + row.control) @ latency_log_factors(np.array([row.share]))[0]
    expected = np.logaddexp.reduce(log_stakes) - math.log(len(log_stakes))
    found = evidence_of([replace(row, tick=0) for row in rows], planned_ticks=1).log_e_value
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_slow_treatment_is_found_and_a_fast_one_is_not() -> None:
    as_the_control: Bins = (50, 25, 15, 5, 4, 1)
    slow: Bins = (25, 25, 25, 12, 9, 4)
    assert evidence_of([LatencyCounts(0, 0.5, slow, as_the_control)]).crossed
    assert not evidence_of([LatencyCounts(0, 0.5, as_the_control, slow)]).crossed
    assert not evidence_of([LatencyCounts(0, 0.5, as_the_control, as_the_control)]).crossed


def test_what_is_slow_late_is_found_because_capital_was_kept() -> None:
    good = [LatencyCounts(t, 0.5, (50, 25, 15, 5, 4, 1), (50, 25, 15, 5, 4, 1)) for t in range(60)]
    bad = [LatencyCounts(t, 0.5, (25, 25, 25, 12, 9, 4), (50, 25, 15, 5, 4, 1)) for t in (60, 61)]
    assert evidence_of(good + bad, planned_ticks=120).crossed
    assert not evidence_of(good + bad, planned_ticks=120, first_tick=10**6).crossed
    assert not evidence_of(good + bad, planned_ticks=120, now_tick=59).crossed


def test_huge_counts_stay_finite() -> None:
    many: Bins = (10**9, 0, 0, 0, 0, 10**9)
    evidence = evidence_of([LatencyCounts(0, 0.05, many, many), LatencyCounts(1, 0.05, many)])
    assert math.isfinite(evidence.log_e_value)
    assert 0.0 < evidence.p_value <= 1.0


def test_a_latency_is_counted_by_how_many_quantiles_it_exceeds() -> None:
    quantiles = [0.2, 0.4, 0.8, 0.8, 2.0]
    assert [bin_of(latency, quantiles) for latency in (0.1, 0.2, 0.3, 0.8, 0.81, 9.0)] == [0, 0, 1, 2, 4, 5]
    assert len(quantiles) == len(LEVELS)


def test_without_observations_there_is_no_number() -> None:
    for rows in ([], [LatencyCounts(0, 0.5)]):
        assert isinstance(latency_evidence(rows, first_tick=0, planned_ticks=1, alpha=0.05), Insufficient)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"planned_ticks": 0}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        evidence_of([LatencyCounts(0, 0.5, one(0))], **wrong)


def test_rows_that_compare_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="compares nothing"):
        evidence_of([LatencyCounts(0, 1.0, one(0))])
    with pytest.raises(ValueError, match="two rows"):
        LatencyCounts(0, 0.5, one(0)) + LatencyCounts(1, 0.5, one(0))
