"""Simulated traffic, and which of its requests each counting rule keeps."""

import numpy as np
import pytest

from analytics.traffic import Counting, IndependentUnits, StickyUnits, Traffic, counted_requests


@pytest.mark.parametrize(
    ("counting", "expected"),
    [
        (Counting.EVERY_REQUEST, [1, 1, 1, 1, 1, 1, 1]),
        (Counting.FIRST_ERRORS, [1, 1, 1, 1, 0, 1, 1]),
        (Counting.UNTIL_FIRST_ERROR, [1, 1, 1, 1, 0, 0, 1]),
        (Counting.FIRST_REQUEST, [1, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_counting_rules(counting: Counting, expected: list[int]) -> None:
    units = np.array([[0, 1, 0, 0, 0, 0, 1]] * 2, np.int32)
    errors = np.array([[0, 0, 0, 1, 1, 0, 0]] * 2, np.bool_)
    traffic = Traffic(np.full(7, 0.5), np.ones_like(errors), errors, units)
    np.testing.assert_array_equal(counted_requests(traffic, counting), np.array([expected] * 2, np.bool_))


def test_requests_without_units_are_units_of_their_own() -> None:
    traffic = IndependentUnits(np.full(50, 0.5), 0.5, 0.5).draw(np.random.default_rng(1), 3)
    for counting in Counting:
        assert counted_requests(traffic, counting).all()


def test_independent_units_follow_shares_and_rates() -> None:
    shares = np.repeat([0.05, 0.5], 500)
    control_rates = np.repeat([0.1, 0.3], 500)
    traffic = IndependentUnits(shares, control_rates, 0.2).draw(np.random.default_rng(2), 400)
    for half, share, control_rate in ((slice(0, 500), 0.05, 0.1), (slice(500, 1000), 0.5, 0.3)):
        treated, errors = traffic.treated[:, half], traffic.errors[:, half]
        assert treated.mean() == pytest.approx(share, abs=4 * (share / treated.size) ** 0.5)
        assert errors[~treated].mean() == pytest.approx(
            control_rate, abs=4 * (0.25 / (~treated).sum()) ** 0.5
        )
        assert errors[treated].mean() == pytest.approx(0.2, abs=4 * (0.25 / treated.sum()) ** 0.5)


def test_sticky_units_keep_their_variant_and_the_share_only_adds() -> None:
    scenario = StickyUnits(np.repeat([0.05, 0.5], 1000), 0.1, 0.1, requests_per_unit=20, correlation=0.5)
    traffic = scenario.draw(np.random.default_rng(3), 5)
    assert traffic.units is not None
    for run in range(5):
        for unit in np.unique(traffic.units[run]):
            treated = traffic.treated[run, traffic.units[run] == unit].astype(int)
            assert (np.diff(treated) >= 0).all()


def test_errors_of_a_sticky_unit_are_correlated_as_stated() -> None:
    """For two requests of one unit: P(both fail) = m² + ρ·m(1−m)."""
    mean, correlation = 0.2, 0.5
    scenario = StickyUnits(np.full(4000, 0.5), mean, mean, 4, correlation, activity_tail=5.0)
    traffic = scenario.draw(np.random.default_rng(4), 60)
    assert traffic.units is not None
    both, pairs = 0, 0
    for units, errors in zip(traffic.units, traffic.errors, strict=True):
        order = np.argsort(units, kind="stable")
        same = np.diff(units[order]) == 0
        first_of_pair = same & ~np.concatenate([[False], same[:-1]])
        both += int((errors[order][:-1] & errors[order][1:])[first_of_pair].sum())
        pairs += int(first_of_pair.sum())
    expected = mean**2 + correlation * mean * (1.0 - mean)
    assert both / pairs == pytest.approx(expected, abs=4 * (expected / pairs) ** 0.5)


def test_the_same_seed_gives_the_same_traffic() -> None:
    scenario = StickyUnits(np.full(200, 0.3), 0.1, 0.2, 5, 0.3, outage_rates=0.1)
    one, other = (scenario.draw(np.random.default_rng(5), 3) for _ in range(2))
    np.testing.assert_array_equal(one.errors, other.errors)
    np.testing.assert_array_equal(one.treated, other.treated)
