"""Worker processes that are measured in turns of a second or two, so that a machine whose speed changes from
one minute to the next changes it for all of them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Protocol

from benchmarks.counting_worker import Totals, Turn, take_turns

WARM_UP_OUTCOMES = 500_000
"""By then each of 16,000 variants of partitions has thirty: their rows exist."""
LONG_TURN, SHORT_TURN = 500_000, 125_000
"""The outcomes of a turn with the most experiments, whose flushes are the longest apart, and with fewer."""


class Player(Protocol):
    """Something that can be given a turn."""

    def play(self, turn: Turn) -> Totals:
        """Return what was done up to the end of the turn."""


class Worker:
    """A process that counts when it is its turn."""

    def __init__(self, url: str, number: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._turns, theirs = spawn.Pipe()
        self._process = spawn.Process(target=take_turns, args=(theirs, url, number), daemon=True)
        self._process.start()
        theirs.close()

    def play(self, turn: Turn) -> Totals:
        """Give it a turn, and return what it has done so far."""
        self._turns.send(turn)
        totals: Totals = self._turns.recv()
        return totals

    def close(self) -> None:
        """End the process: what it has not written yet is of no use."""
        self._process.kill()
        self._process.join()
        self._turns.close()


@contextmanager
def workers(urls: Sequence[str], numbers: Sequence[int]) -> Iterator[list[Worker]]:
    """Start a process for each number of experiments, each with a database of its own."""
    with ExitStack() as stack:
        started = [Worker(url, number) for url, number in zip(urls, numbers, strict=True)]
        for worker in started:
            stack.callback(worker.close)
        yield started


def play(players: Sequence[Player], longest: int, rounds: int, outcomes: int) -> list[list[Totals]]:
    """Return for each round what each player did in it, from the end of a flush of sums to that of another.

    A round ends with the first flush of player ``longest`` after so many outcomes; the others follow suit.
    """
    before = [_warm_up(player) for player in players]
    windows = []
    for _ in range(rounds):
        after = _round(players, longest, before[longest], outcomes)
        windows.append([now.since(then) for now, then in zip(after, before, strict=True)])
        before = after
    return windows


def _warm_up(player: Player) -> Totals:
    player.play(Turn(WARM_UP_OUTCOMES))
    return player.play(Turn(None, to_flush=True, hurry=True))


def _round(players: Sequence[Player], longest: int, before: Totals, outcomes: int) -> list[Totals]:
    flushes = before.flushes
    while True:
        # Its turn also ends with a flush, so that the round can.
        totals = players[longest].play(Turn(LONG_TURN, to_flush=True))
        if totals.outcomes >= before.outcomes + outcomes and totals.flushes > flushes:
            break
        flushes = totals.flushes
        for number, player in enumerate(players):
            if number != longest:
                player.play(Turn(SHORT_TURN))
    to_flush = Turn(None, to_flush=True)
    return [totals if number == longest else player.play(to_flush) for number, player in enumerate(players)]


def costs(windows: Sequence[Sequence[Totals]]) -> list[list[float]]:
    """Return the CPU of an outcome in µs: for each player, in each round."""
    return [
        [window.cpu / window.outcomes * 1e6 for window in of_player]
        for of_player in zip(*windows, strict=True)
    ]


def figures(windows: Sequence[Totals]) -> dict[str, float]:
    """Return what the rounds of one player come to."""
    each = [window.cpu / window.outcomes * 1e6 for window in windows]
    outcomes = sum(window.outcomes for window in windows)
    return {
        "total_us": median(each),
        "total_us_min": min(each),
        "total_us_max": max(each),
        "outcomes_per_second": 1e6 / median(each),
        "wall_outcomes_per_second": outcomes / sum(window.wall for window in windows),
        "outcomes": outcomes,
        "flushes_of_sums": sum(window.flushes for window in windows),
    }
