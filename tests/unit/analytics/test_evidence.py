"""The e-processes of rollback and promotion as functions of the counts."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.betting import FRACTIONS, RATIOS
from analytics.columns import TickCounts
from analytics.evidence import (
    Evidence,
    EvidencePath,
    promotion_evidence,
    promotion_path,
    rollback_evidence,
    rollback_path,
)
from analytics.results import Insufficient

SHARES = st.sampled_from([0.01, 0.05, 0.25, 0.5, 0.9])
ROWS = st.builds(
    TickCounts,
    tick=st.integers(0, 12),
    share=SHARES,
    treatment_errors=st.integers(0, 40),
    control_errors=st.integers(0, 40),
    others=st.integers(0, 4000),
)
COUNTS = st.lists(ROWS, min_size=1, max_size=20).filter(
    lambda rows: any(row.treatment_errors + row.control_errors + row.others for row in rows)
)
MARGINS = st.sampled_from([0.0, 0.01, 0.05, 0.3])


def rollback(counts: Sequence[TickCounts], **options: Any) -> Evidence:
    given_options = {"first_tick": 0, "planned_ticks": 10, "alpha": 0.05} | options
    evidence = rollback_evidence(counts, **given_options)
    assert isinstance(evidence, Evidence)
    return evidence


def promotion(counts: Sequence[TickCounts], **options: Any) -> Evidence:
    evidence = promotion_evidence(counts, **({"alpha": 0.05, "margin": 0.02} | options))
    assert isinstance(evidence, Evidence)
    return evidence


def replayed_rollback(
    counts: Sequence[TickCounts], *, first_tick: int, planned_ticks: int, margin: float
) -> list[float]:
    """log E at the end of each tick with counts, by the recursion as it is written down, tick after tick."""
    bets = len(RATIOS)
    stakes, reserve, paid = np.full(bets, math.log(0.875 / bets)), 0.125, 0
    path = []
    earliest, latest = min(row.tick for row in counts), max(row.tick for row in counts)
    for tick in range(min(first_tick, earliest), latest + 1):
        if tick >= first_tick and paid < planned_ticks:
            stakes = np.logaddexp(stakes, math.log(0.125 / planned_ticks / bets))
            reserve, paid = 0.125 * (1 - (paid + 1) / planned_ticks), paid + 1
        rows = [row for row in counts if row.tick == tick]
        for row in rows:
            w = row.share
            for k, ratio in enumerate(RATIOS):
                bet = w * (1 - w) * (ratio - 1) / (1 + w * (ratio - 1)) / (1 + margin * (1 - w))
                stakes[k] += row.treatment_errors * math.log1p(bet * (1 / w - margin))
                stakes[k] += row.control_errors * math.log1p(-bet * (1 / (1 - w) + margin))
                stakes[k] += row.others * math.log1p(-bet * margin)
        if any(row.treatment_errors + row.control_errors + row.others for row in rows):
            kept = [math.log(reserve)] if reserve else []
            path.append(float(np.logaddexp.reduce([*stakes, *kept])))
    return path


@given(counts=COUNTS, margin=MARGINS, first_tick=st.integers(0, 14), planned_ticks=st.integers(1, 15))
def test_rollback_is_the_recursion_tick_by_tick(
    counts: list[TickCounts], margin: float, first_tick: int, planned_ticks: int
) -> None:
    expected = replayed_rollback(counts, first_tick=first_tick, planned_ticks=planned_ticks, margin=margin)
    path = rollback_path(counts, first_tick=first_tick, planned_ticks=planned_ticks, margin=margin)
    assert isinstance(path, EvidencePath)
    assert path.log_e_values == pytest.approx(expected, rel=1e-9, abs=1e-9)
    evidence = rollback(counts, first_tick=first_tick, planned_ticks=planned_ticks, margin=margin)
    assert evidence.log_e_value == path.log_e_values[-1]
    assert evidence.log_e_peak == max(0.0, *path.log_e_values)


@given(counts=COUNTS, margin=MARGINS)
def test_promotion_is_the_mean_of_its_bets(counts: list[TickCounts], margin: float) -> None:
    products = []
    for fraction in FRACTIONS:
        log_product = 0.0
        for row in counts:
            bet = fraction / (1 / row.share - margin)
            log_product += row.treatment_errors * math.log(1 - fraction)
            log_product += row.control_errors * math.log1p(bet * (1 / (1 - row.share) + margin))
            log_product += row.others * math.log1p(bet * margin)
        products.append(log_product)
    largest = max(products)
    mean = largest + math.log(sum(math.exp(one - largest) for one in products) / len(products))
    evidence = promotion(counts, margin=margin)
    assert evidence.log_e_value == pytest.approx(mean, rel=1e-9, abs=1e-9)
    path = promotion_path(counts, margin=margin)
    assert isinstance(path, EvidencePath)
    assert path.log_e_values[-1] == evidence.log_e_value


@given(counts=COUNTS, margin=MARGINS, random=st.randoms(use_true_random=False))
def test_neither_order_nor_splitting_changes_a_bit(
    counts: list[TickCounts], margin: float, random: Any
) -> None:
    parts = []
    for row in counts:
        one = replace(
            row, treatment_errors=random.randint(0, row.treatment_errors), control_errors=0, others=0
        )
        rest = replace(row, treatment_errors=row.treatment_errors - one.treatment_errors)
        parts += [one, rest]
    random.shuffle(parts)
    assert rollback(parts, margin=margin) == rollback(counts, margin=margin)
    assert promotion(parts, margin=margin) == promotion(counts, margin=margin)


@given(counts=COUNTS, margin=MARGINS, which=st.integers(0, 100))
def test_one_more_error_of_the_treatment_speaks_for_rollback_and_against_promotion(
    counts: list[TickCounts], margin: float, which: int
) -> None:
    row = counts[which % len(counts)]
    failed = [*counts, replace(row, treatment_errors=1, control_errors=0, others=0)]
    slack = 1e-9
    assert rollback(failed, margin=margin).log_e_value >= rollback(counts, margin=margin).log_e_value - slack
    assert (
        promotion(failed, margin=margin).log_e_value <= promotion(counts, margin=margin).log_e_value + slack
    )


@pytest.mark.parametrize("margin", [0.0, 0.1])
@settings(max_examples=25)  # 81 replays each, and what breaks the identity breaks it at nearly all rates
@given(
    shares=st.lists(SHARES, min_size=4, max_size=4),
    control_rates=st.lists(st.floats(0.0, 0.9), min_size=4, max_size=4),
    first_tick=st.integers(0, 5),
    planned_ticks=st.integers(1, 6),
)
def test_e_is_worth_exactly_one_on_average_at_the_edge_of_the_null_hypothesis(
    margin: float, shares: list[float], control_rates: list[float], first_tick: int, planned_ticks: int
) -> None:
    """Every outcome of four observations is enumerated; shares and rates drift from one to the next."""
    of_rollback = of_promotion = 0.0
    for outcomes in product(range(3), repeat=4):
        chance, counts = 1.0, []
        for tick, (outcome, w, control_rate) in enumerate(zip(outcomes, shares, control_rates, strict=True)):
            treatment_error, control_error = w * (control_rate + margin), (1 - w) * control_rate
            chance *= (treatment_error, control_error, 1 - treatment_error - control_error)[outcome]
            counts.append(TickCounts(tick, w, outcome == 0, outcome == 1, outcome == 2))
        options = {"margin": margin, "first_tick": first_tick, "planned_ticks": planned_ticks}
        of_rollback += chance * rollback(counts, **options).e_value
        of_promotion += chance * promotion(counts, margin=margin).e_value
    assert of_rollback == pytest.approx(1.0, rel=1e-9)
    assert of_promotion == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("errors", [(10**9, 0), (0, 10**9), (10**9, 10**9)])
@pytest.mark.parametrize("others", [0, 10**9])
def test_huge_counts_neither_overflow_nor_underflow(errors: tuple[int, int], others: int) -> None:
    counts = [TickCounts(tick, 0.05, *errors, others) for tick in range(3)]
    for evidence in (rollback(counts, margin=0.01, planned_ticks=2), promotion(counts)):
        assert math.isfinite(evidence.log_e_value)
        assert math.isfinite(evidence.e_value)
        assert 0.0 < evidence.p_value <= 1.0


def test_no_errors_in_the_control_is_no_obstacle() -> None:
    evidence = rollback([TickCounts(0, 0.5, 40, 0, 960)])
    assert evidence.e_value > 1e10
    assert evidence.crossed
    assert evidence.p_value < 1e-10


def test_identical_variants_are_not_rolled_back() -> None:
    counts = [TickCounts(tick, 0.1, 1, 9, 990) for tick in range(100)]
    evidence = rollback(counts, planned_ticks=1440)
    assert evidence.e_value < 1.0
    assert not evidence.crossed
    assert promotion(counts).crossed


def test_what_crossed_once_has_crossed_even_when_it_no_longer_does() -> None:
    counts = [TickCounts(0, 0.5, 15, 0, 100), TickCounts(1, 0.5, 0, 200, 100)]
    evidence = rollback(counts)
    assert not evidence.crossed
    assert evidence.has_crossed
    assert evidence.p_value <= 0.05
    assert rollback(counts, now_tick=0).crossed


def test_a_regression_that_begins_late_is_found_sooner_because_capital_was_kept() -> None:
    good = [TickCounts(tick, 0.5, 5, 5, 590) for tick in range(60)]
    bad = [TickCounts(60, 0.5, 25, 2, 100)]
    re_armed = rollback(good + bad, planned_ticks=120)
    not_yet_re_armed = rollback(good + bad, planned_ticks=120, first_tick=10**6)
    assert re_armed.crossed
    assert not not_yet_re_armed.crossed


def test_ticks_without_observations_change_nothing() -> None:
    counts = [TickCounts(0, 0.5, 3, 1, 100)]
    assert rollback(counts) == rollback(counts, now_tick=10**6)
    assert rollback(counts) == rollback([*counts, TickCounts(5, 0.5, 0, 0, 0)])


def test_without_observations_there_is_no_number() -> None:
    assert isinstance(rollback_evidence([], first_tick=0, planned_ticks=1, alpha=0.05), Insufficient)
    assert isinstance(promotion_evidence([], alpha=0.05, margin=0.02), Insufficient)
    assert isinstance(rollback_path([], first_tick=0, planned_ticks=1), Insufficient)
    assert isinstance(promotion_path([], margin=0.0), Insufficient)


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"margin": -0.01}, {"margin": 1.0}, {"planned_ticks": 0}]
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        rollback([TickCounts(0, 0.5, 1, 1, 1)], **wrong)


def test_counts_are_carried_along() -> None:
    evidence = rollback([TickCounts(0, 0.5, 1, 2, 3), TickCounts(1, 0.25, 10, 20, 30)])
    assert (evidence.treatment_errors, evidence.control_errors, evidence.others) == (11, 22, 33)
    assert evidence.observations == 66
    assert evidence.threshold == pytest.approx(20.0)
