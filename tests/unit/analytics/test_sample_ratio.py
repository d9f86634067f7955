"""Sample ratio mismatch: ramps raise no alarm, lost units do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.results import Insufficient
from analytics.sample_ratio import (
    ODDS_RATIOS,
    SampleRatio,
    SplitCounts,
    log_ratio_evidence,
    sample_ratio,
)


def result_of(*splits: SplitCounts, threshold: float = 1_000.0) -> SampleRatio:
    result = sample_ratio(splits, threshold=threshold)
    assert isinstance(result, SampleRatio)
    return result


@given(share=st.floats(0.001, 0.999))
def test_no_bet_wins_on_average(share: float) -> None:
    ratios = np.array(ODDS_RATIOS)
    inside, outside = ratios / (1 + share * (ratios - 1)), 1 / (1 + share * (ratios - 1))
    assert share * inside + (1 - share) * outside == pytest.approx(np.ones(len(ratios)))
    assert math.exp(log_ratio_evidence([1], [0], [share])) == pytest.approx(inside.mean())
    assert math.exp(log_ratio_evidence([0], [1], [share])) == pytest.approx(outside.mean())


@given(share=st.sampled_from([0.1, 0.5, 0.9]), treatment=st.integers(0, 5_000), control=st.integers(1, 5_000))
def test_two_variants_mirror_each_other(share: float, treatment: int, control: int) -> None:
    result = result_of(SplitCounts((1.0 - share, share), (control, treatment)))
    first, second = result.variants
    assert first is not None
    assert second is not None
    assert first.log_e_value == pytest.approx(second.log_e_value, abs=1e-8)
    assert result.tests == 1


def test_counts_of_a_split_merge_and_rows_have_no_order() -> None:
    one, other = SplitCounts((0.5, 0.5), (10, 20)), SplitCounts((0.9, 0.1), (90, 12))
    assert result_of(one, one, other) == result_of(other, one + one)
    with pytest.raises(ValueError, match="same split"):
        one + other


def test_shares_are_weights() -> None:
    assert result_of(SplitCounts((1.0, 3.0), (30, 80))) == result_of(SplitCounts((0.25, 0.75), (30, 80)))


def test_a_ramp_is_no_mismatch_and_lost_units_are_one() -> None:
    ramp = (SplitCounts((0.95, 0.05), (9_520, 480)), SplitCounts((0.5, 0.5), (4_980, 5_020)))
    assert not result_of(*ramp).flagged
    lost = SplitCounts((0.5, 0.5), (50_000, 48_000))
    assert result_of(*ramp, lost).flagged
    assert result_of(*ramp, lost).p_value < 0.001


def test_a_variant_of_weight_zero_counts_nowhere() -> None:
    with_third = result_of(SplitCounts((0.5, 0.5, 0.0), (480, 520, 7)))
    assert with_third.variants[2] is None
    assert with_third.tests == 1
    assert with_third.log_e_value == result_of(SplitCounts((0.5, 0.5), (480, 520))).log_e_value


def test_more_variants_share_the_budget() -> None:
    result = result_of(SplitCounts((0.4, 0.3, 0.3), (4_000, 3_000, 2_700)))
    assert result.tests == 3
    largest = max(ratio.log_e_value for ratio in result.variants if ratio)
    assert result.log_e_value == pytest.approx(largest - math.log(3))
    assert [ratio.expected for ratio in result.variants if ratio] == pytest.approx([3_880, 2_910, 2_910])


def test_nothing_to_compare() -> None:
    assert isinstance(sample_ratio([]), Insufficient)
    assert isinstance(sample_ratio([SplitCounts((1.0, 0.0), (500, 0))]), Insufficient)
    assert isinstance(sample_ratio([SplitCounts((0.5, 0.5), (0, 0))]), Insufficient)


@pytest.mark.parametrize(
    ("shares", "units"),
    [((1.0,), (1,)), ((0.5, 0.5), (1,)), ((-0.5, 1.5), (1, 1)), ((0.0, 0.0), (0, 0)), ((0.5, 0.5), (-1, 1))],
)
def test_impossible_splits_are_refused(shares: tuple[float, ...], units: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"split|shares|negative"):
        SplitCounts(shares, units)


def test_rows_of_different_experiments_are_refused() -> None:
    with pytest.raises(ValueError, match="same variants"):
        sample_ratio([SplitCounts((0.5, 0.5), (1, 1)), SplitCounts((0.4, 0.3, 0.3), (1, 1, 1))])
    with pytest.raises(ValueError, match="threshold"):
        sample_ratio([], threshold=0.5)


def test_false_alarms_and_power_looked_at_throughout() -> None:
    """A ramp of 3 variants at a threshold of 20, looked at 60 times; then 10 % of one's units get lost."""
    random, runs, threshold = np.random.default_rng(5), 300, 20.0
    steps = [(0.9, 0.05, 0.05), (0.5, 0.25, 0.25), (0.3, 0.3, 0.4)]
    flagged = {1.0: 0, 0.9: 0}
    for kept, share_of_runs in ((1.0, 1), (0.9, 5)):
        for _ in range(runs // share_of_runs):
            so_far: dict[tuple[float, ...], SplitCounts] = {}
            for look in range(60):
                shares = steps[look // 20]
                units = random.multinomial(500, shares)
                units[2] = random.binomial(units[2], kept)
                new = SplitCounts(shares, tuple(units.tolist()))
                so_far[shares] = so_far[shares] + new if shares in so_far else new
                if result_of(*so_far.values(), threshold=threshold).flagged:
                    flagged[kept] += 1
                    break
    assert flagged[1.0] / runs <= 0.05 + 4.0 * (0.05 * 0.95 / runs) ** 0.5
    assert flagged[0.9] / (runs // 5) >= 0.95
