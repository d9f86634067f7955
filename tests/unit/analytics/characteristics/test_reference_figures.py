"""Scenarios of the self-test, with few runs, against figures from a simulation that is not this one.

Its own error is not known; means are allowed 5 % for it. Rates and means are allowed four standard errors.
Policies are tried alone: a scenario draws its traffic first, so the others would change nothing.
"""

from dataclasses import replace

import pytest

from analytics.characteristics import Characteristic, characteristics, scenarios

SEED = 20261123
REFERENCE_ERROR = 0.05
MOST_RUNS = 150


SCENARIOS = {scenario.name: scenario for scenario in scenarios()}


def ran(scenario: str, *policies: str) -> list[Characteristic]:
    """The rows of some policies in one scenario, in this order."""
    chosen = SCENARIOS[scenario]
    tried = {policy.name: policy for policy in chosen.policies}
    few = replace(
        chosen,
        policies=tuple(tried[name] for name in policies),
        quick_runs=min(chosen.quick_runs, MOST_RUNS),
    )
    return list(characteristics([few], seed=SEED, quick=True))


@pytest.mark.parametrize(
    ("scenario", "policy", "expected"),
    [
        ("errors: 1% to 5%, share 5%", "rollback, never re-armed", 116.0),
        ("errors: 1% to 10%, share 5%", "rollback, never re-armed", 36.5),
        ("errors: 1% to 50%, share 5%", "rollback, never re-armed", 4.5),
        ("errors: 1% to 2%, share 50%", "rollback, never re-armed", 2203.0),
        ("errors: 1% to 5%, share 50%", "rollback, never re-armed", 245.0),
        ("errors: 1% to 10%, share 50%", "rollback, never re-armed", 87.0),
        ("errors: 1% to 50%, share 50%", "rollback, never re-armed", 13.0),
        ("errors: none to 5%, share 5%", "rollback", 40.0),  # two errors of the treatment do
        ("latency: ×1.25, share 5%", "latency, first requests alone, never re-armed", 154.0),
        ("latency: ×1.5, share 5%", "latency, first requests alone, never re-armed", 45.0),
        ("latency: ×2, share 5%", "latency, first requests alone, never re-armed", 16.0),
        ("latency: ×1.25, share 50%", "latency, first requests alone, never re-armed", 291.0),
        ("latency: ×1.5, share 50%", "latency, first requests alone, never re-armed", 94.0),
        ("latency: ×2, share 50%", "latency, first requests alone, never re-armed", 33.0),
        ("promotion: as good at 1%, share 5%", "promotion, first requests alone", 423.0),
        ("promotion: as good at 1%, share 50%", "promotion, first requests alone", 503.0),
    ],
)
def test_requests_until_a_policy_acts(scenario: str, policy: str, expected: float) -> None:
    (row,) = ran(scenario, policy)
    assert row.stopped >= 0.995
    assert row.times_limit is not None
    assert row.times_limit > 1.0
    assert abs(row.mean_requests - expected) <= 4 * row.mean_requests_error + REFERENCE_ERROR * expected


@pytest.mark.parametrize(
    ("scenario", "policy", "lowest", "highest"),
    [
        ("errors: alike at 1%, share 50%", "rollback", 0.024, 0.042),
        ("errors: alike at 5%, share 50%", "repeated z-test", 0.24, 0.28),
        ("errors: 0.5 h at 10/s, share 5%", "windowed rule, no minimum", 0.14, 0.15),
        ("errors: 24 h at 10/s, share 5%", "windowed rule, no minimum", 0.29, 0.31),
        ("errors: 0.5 h at 1/s, share 10%", "windowed rule, no minimum", 0.58, 0.60),
        ("errors: 24 h at 1/s, share 10%", "windowed rule, no minimum", 1.0, 1.0),
        ("errors: ramp and outage of both", "rollback", 0.02, 0.03),
        ("errors: ramp and outage of both", "repeated z-test", 0.73, 1.0),
        (
            "errors: correlated units, 50 requests each, share 50%",
            "rollback, every request counted",
            0.35,
            0.64,
        ),
        (
            "latency: correlated units, 50 requests each, share 50%",
            "latency, every request counted",
            0.17,
            0.54,
        ),
        (
            "promotion: worse by the margin, correlated units, 50 requests each, share 5%",
            "promotion, every request counted",
            0.50,
            0.61,
        ),
        (
            "promotion: worse by the margin, correlated units, 50 requests each, share 5%",
            "promotion, first errors counted",
            0.87,
            1.0,
        ),
        (
            "promotion: worse by the margin, correlated units, 50 requests each, share 5%",
            "promotion, counted until the first error",
            0.81,
            1.0,
        ),
        (
            "promotion: worse by the margin, correlated units, 10 requests each, share 50%",
            "promotion, first errors counted",
            0.95,
            1.0,
        ),
        ("promotion: worse by the margin, share 5%", "promotion", 0.0, 0.02),
        ("latency: ramp and slowdown of both", "latency, buckets not weighted by share", 0.95, 1.0),
        (
            "promotion: ramp, outage of both in the first step, correlated units",
            "promotion, buckets not weighted by share",
            0.8,
            1.0,
        ),
        ("units: as assigned, ramp", "repeated χ²-test", 1.0, 1.0),
    ],
)
def test_how_often_a_policy_acts_wrongly(scenario: str, policy: str, lowest: float, highest: float) -> None:
    (row,) = ran(scenario, policy)
    assert row.false_rate is not None
    rate = min(max(row.false_rate, 1 / row.n_runs), 1 - 1 / row.n_runs)
    error = 4 * (rate * (1 - rate) / row.n_runs) ** 0.5
    assert lowest - error <= row.false_rate <= highest + error


@pytest.mark.parametrize(("share", "missed"), [("5%", 0.89), ("50%", 1.0)])
def test_the_windowed_rule_misses_a_doubled_error_rate(share: str, missed: float) -> None:
    (row,) = ran(f"errors: 1% to 2%, share {share}", "windowed rule")
    error = 4 * (0.1 * 0.9 / row.n_runs) ** 0.5
    assert abs(1.0 - row.stopped - missed) <= error


@pytest.mark.parametrize(
    ("scenario", "policy"),
    [
        ("errors: units that keep failing, share 50%", "rollback"),
        ("errors: worse by the margin of 1%", "rollback"),
        ("latency: ramp and slowdown of both, correlated units", "latency"),
        ("promotion: ramp, outage of both in the last step, correlated units", "promotion"),
        ("units: as assigned, share 50%", "sample ratio"),
        ("intervals: ×1, 50 requests a unit, correlation 0.3, Pareto exponent 1.2", "95% interval, buckets"),
    ],
)
def test_claims_hold(scenario: str, policy: str) -> None:
    """One of each kind of claim; all of them are what `headgate characteristics` is for."""
    (row,) = ran(scenario, policy)
    assert row.holds


@pytest.mark.parametrize(
    ("scenario", "re_armed", "never", "lowest"),
    [
        ("errors: 1% to 5% after 10,000 requests", "rollback", "rollback, never re-armed", 1.4),
        ("errors: 1% to 10% after 10,000 requests", "rollback", "rollback, never re-armed", 1.6),
        (
            "latency: ×1.5 after 10,000 requests",
            "latency",
            "latency, first requests alone, never re-armed",
            2.0,
        ),
    ],
)
def test_a_late_regression_is_found_sooner_with_re_arming(
    scenario: str, re_armed: str, never: str, lowest: float
) -> None:
    with_it, without = ran(scenario, re_armed, never)
    assert with_it.holds
    assert without.mean_requests > lowest * with_it.mean_requests


def test_re_arming_costs_little_when_the_defect_is_there_from_the_start() -> None:
    re_armed, never = ran("errors: 1% to 5%, share 5%", "rollback", "rollback, never re-armed")
    assert 0.0 < re_armed.mean_requests / never.mean_requests - 1.0 < 0.12


def test_few_busy_units_are_promoted_by_their_buckets() -> None:
    scenario = "promotion: as good at 1%, few busy units, share 50%"
    both, first_requests = ran(scenario, "promotion", "promotion, first requests alone")
    assert both.stopped > 3 * first_requests.stopped
