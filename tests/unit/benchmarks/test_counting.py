"""Counting is measured in turns, and the figures are those of the rounds."""

from __future__ import annotations

import pytest

from benchmarks.counting import ratios, summary, table
from benchmarks.counting_turns import LONG_TURN, SHORT_TURN, costs, figures, play
from benchmarks.counting_worker import Totals, Turn


class Pretender:
    """Counts at a fixed cost, and flushes its sums after every so many outcomes; ``log`` has all turns."""

    def __init__(self, name: str, cost_us: float, flush_every: int, log: list[tuple[str, Turn]]) -> None:
        self._name, self._cost, self._every, self._log = name, cost_us * 1e-6, flush_every, log
        self._outcomes = self._flushes = self._last = 0

    def play(self, turn: Turn) -> Totals:
        self._log.append((self._name, turn))
        to_flush = max(self._every - (self._outcomes - self._last), 0) if not turn.hurry else 1_000
        done = min(turn.outcomes or to_flush, to_flush) if turn.to_flush else turn.outcomes
        assert done is not None
        self._outcomes += done
        if done >= to_flush:
            self._flushes += 1
            self._last = self._outcomes
        return Totals(self._outcomes, self._flushes, self._outcomes * self._cost, self._outcomes * self._cost)


def played(rounds: int, outcomes: int) -> tuple[list[list[Totals]], list[tuple[str, Turn]]]:
    log: list[tuple[str, Turn]] = []
    players = [Pretender("few", 2, 600_000, log), Pretender("many", 3, 1_800_000, log)]
    return play(players, 1, rounds, outcomes), log


def test_a_round_begins_and_ends_with_flushes_of_everybody() -> None:
    windows, _ = played(rounds=3, outcomes=2_000_000)
    assert [window[1].flushes for window in windows] == [2, 2, 2]
    assert [window[1].outcomes for window in windows] == [3_600_000] * 3
    assert all(window[0].flushes >= 1 for window in windows)


def test_turns_alternate_within_a_round() -> None:
    _, log = played(rounds=1, outcomes=1_000_000)
    of_round = log[4:]
    assert of_round == [
        ("many", Turn(LONG_TURN, to_flush=True)),
        ("few", Turn(SHORT_TURN)),
        ("many", Turn(LONG_TURN, to_flush=True)),
        ("few", Turn(SHORT_TURN)),
        ("many", Turn(LONG_TURN, to_flush=True)),
        ("few", Turn(SHORT_TURN)),
        ("many", Turn(LONG_TURN, to_flush=True)),
        ("few", Turn(None, to_flush=True)),
    ]


def test_a_flush_that_was_all_a_turn_could_hold_still_ends_the_round() -> None:
    log: list[tuple[str, Turn]] = []
    [[totals]] = play([Pretender("one", 2, 100_000, log)], 0, 1, 50_000)
    assert (totals.outcomes, totals.flushes) == (100_000, 1)


def test_costs_are_of_each_round() -> None:
    windows, _ = played(rounds=2, outcomes=1_000_000)
    assert costs(windows) == [pytest.approx([2, 2]), pytest.approx([3, 3])]


def test_the_median_round_counts() -> None:
    rounds = [Totals(1_000_000, 1, cpu, 2 * cpu) for cpu in (2.0, 9.0, 2.5)]
    assert figures(rounds) == pytest.approx(
        {
            "total_us": 2.5,
            "total_us_min": 2.0,
            "total_us_max": 9.0,
            "outcomes_per_second": 400_000,
            "wall_outcomes_per_second": 3_000_000 / 27.0,
            "outcomes": 3_000_000,
            "flushes_of_sums": 3,
        }
    )


def test_the_ratio_is_that_of_the_median_round_and_not_that_of_the_medians() -> None:
    each = [[2.0, 4.0, 2.0], [2.4, 4.4, 3.0]]
    assert ratios(each) == pytest.approx([1.2, 1.1, 1.5])
    figure = summary(each)
    assert figure["ratio"] == pytest.approx(1.2)
    assert (figure["ratio_min"], figure["ratio_max"]) == pytest.approx((1.1, 1.5))
    assert figure["outcomes_per_second"] == pytest.approx(500_000)


def test_the_table() -> None:
    assert table([1, 1000], [[2.0, 4.0, 2.0], [2.4, 4.4, 3.0]]).splitlines() == [
        "round              1       1,000       ratio",
        "1              2.000       2.400       1.200",
        "2              4.000       4.400       1.100",
        "3              2.000       3.000       1.500",
        "median         2.000       3.000       1.200",
    ]
