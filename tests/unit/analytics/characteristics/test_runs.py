"""Running scenarios: rows as they are done, and the same whatever the number of processes."""

from dataclasses import replace

import numpy as np
import pytest

from analytics.characteristics import Characteristic, Claim, Policy, Scenario, characteristics, scenarios
from analytics.characteristics.either import Counted, Either
from analytics.games import NEVER, Stops
from analytics.simulation import PromotionTest, RollbackTest, WindowedTest
from analytics.traffic import Counting, IndependentUnits, StickyUnits, Traffic, counted_requests

ROLLBACK: Policy[Traffic] = Policy(
    "rollback", Counted(RollbackTest(), Counting.FIRST_ERRORS), 0.05, Claim.FALSE_RATE
)
WINDOWED: Policy[Traffic] = Policy("windowed rule", WindowedTest(), 0.05)


def small(name: str, requests: int = 800) -> Scenario[Traffic]:
    source = IndependentUnits(np.full(requests, 0.5), 0.05, 0.05)
    return Scenario(name, source, (ROLLBACK, WINDOWED), runs=600, quick_runs=30)


def rows_of(*wanted: Scenario[Traffic], processes: int = 1, seed: int = 1) -> list[Characteristic]:
    return list(characteristics(wanted, seed=seed, processes=processes))


def test_a_row_for_each_policy_in_order() -> None:
    rows = rows_of(small("one"), small("other"))
    assert [(row.scenario, row.policy) for row in rows] == [
        ("one", "rollback"),
        ("one", "windowed rule"),
        ("other", "rollback"),
        ("other", "windowed rule"),
    ]
    assert [row.n_runs for row in rows] == [600] * 4
    assert [row.holds for row in rows] == [True, None, True, None]


def test_the_number_of_processes_changes_nothing() -> None:
    alone = rows_of(small("one"), small("other"))
    shared = rows_of(small("one"), small("other"), processes=2)
    assert sorted(shared, key=repr) == sorted(alone, key=repr)


def test_a_scenario_does_not_depend_on_the_others() -> None:
    assert rows_of(small("one"), small("other"))[2:] == rows_of(small("other"))


def test_the_seed_decides() -> None:
    def means(seed: int) -> list[float]:
        return [row.mean_requests for row in rows_of(small("one"), seed=seed)]

    assert means(1) == means(1) != means(2)


def test_quick_draws_fewer() -> None:
    assert {row.n_runs for row in characteristics([small("one")], seed=1, quick=True)} == {30}


def test_rows_come_as_they_are_done() -> None:
    rows = characteristics([small("one"), replace(small("never"), source=_Broken(np.full(5, 0.5)))], seed=1)
    assert next(rows).scenario == "one"
    assert next(rows).scenario == "one"
    with pytest.raises(RuntimeError, match="drawn"):
        next(rows)


class _Broken(IndependentUnits):
    def __init__(self, shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        super().__init__(shares, 0.0, 0.0)

    def draw(self, random: np.random.Generator, runs: int) -> Traffic:
        raise RuntimeError(f"drawn: {runs} of {random}")


def test_requests_are_counted_from_where_acting_is_right() -> None:
    rates = np.where(np.arange(4_000) < 2_000, 0.01, 0.5)
    late = replace(small("late"), source=IndependentUnits(np.full(4_000, 0.5), 0.01, rates), right_from=2_000)
    row, _ = rows_of(late)
    assert row.stopped == 1.0
    assert 0.0 < row.mean_requests < 100.0


def test_the_first_of_two_tests_decides() -> None:
    def stops(*positions: int) -> Stops:
        at = np.array(positions)
        return Stops(at, at + 100)

    class Fixed:
        def __init__(self, found: Stops) -> None:
            self.found = found

        def stops(self, traffic: None) -> Stops:
            assert traffic is None
            return self.found

    both = Either(Fixed(stops(NEVER, 5, 7, NEVER)), Fixed(stops(3, 6, NEVER, NEVER))).stops(None)
    np.testing.assert_array_equal(both.positions, [3, 5, 7, NEVER])
    np.testing.assert_array_equal(both.treatment_requests, [103, 105, 107, 99])


def test_a_test_is_given_only_what_is_counted() -> None:
    traffic = StickyUnits(np.full(500, 0.5), 0.2, 0.2, 5, 0.2).draw(np.random.default_rng(3), 5)
    test = PromotionTest(0.2, 0.3)
    counted = counted_requests(traffic, Counting.FIRST_REQUEST)
    stops = Counted(test, Counting.FIRST_REQUEST).stops(traffic)
    assert stops.stopped.any()
    for run in np.flatnonzero(stops.stopped):
        assert counted[run, stops.positions[run]]


def test_names_of_scenarios_and_of_policies_within_one_differ() -> None:
    every = scenarios()
    assert len({scenario.name for scenario in every}) == len(every)
    for scenario in every:
        assert len({policy.name for policy in scenario.policies}) == len(scenario.policies)
