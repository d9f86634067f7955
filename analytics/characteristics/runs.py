"""Drawing the runs of scenarios, batch by batch, on one core or on several.

Every batch has a random source of its own, made of the seed, the scenario's name and the number of the
batch. So the result depends on nothing else: not on the number of processes, nor on which scenarios run.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Generic, Protocol, TypeVar
from zlib import crc32

import numpy as np

from analytics.betting import Floats
from analytics.characteristics.either import Stopper
from analytics.characteristics.summary import Characteristic, Claim, Outcome, summarised
from analytics.traffic import Flags

_CELLS_AT_ONCE = 8_000_000  # runs × requests: about 0.5 GB with all that is derived from them
_RUNS_AT_ONCE = 250


class Drawn(Protocol):
    """Simulated traffic of any kind."""

    @property
    def shares(self) -> Floats:
        """The treatment's propensity, shape (requests,)."""
        ...

    @property
    def treated(self) -> Flags:
        """Whether the treatment served each request, shape (runs, requests)."""
        ...


T = TypeVar("T", bound=Drawn)
T_co = TypeVar("T_co", bound=Drawn, covariant=True)


class Source(Protocol[T_co]):
    """Anything that draws simulated traffic."""

    @property
    def shares(self) -> Floats:
        """The treatment's propensity, shape (requests,)."""
        ...

    def draw(self, random: np.random.Generator, runs: int) -> T_co:
        """Draw `runs` independent runs."""
        ...


@dataclass(frozen=True, slots=True)
class Policy(Generic[T]):
    """What decides, and what is promised of it.

    Attributes:
        name: one word for one thing, over all scenarios.
        test: where it stops.
        alpha: its error budget.
        claim: what is promised of it in this scenario.
    """

    name: str
    test: Stopper[T]
    alpha: float
    claim: Claim = Claim.NONE


@dataclass(frozen=True, slots=True)
class Scenario(Generic[T]):
    """Traffic, and the policies that are tried on it.

    Attributes:
        name: what the traffic is like.
        source: what draws it.
        policies: all see the same traffic.
        runs: how many are drawn for a full self-test.
        quick_runs: how many for a quick one.
        right_from: the request from which acting is right; None for never.
        requests_per_nat: requests of the treatment it takes on average to gather evidence of a factor e, at
            the information limit; None where there is nothing to find.
    """

    name: str
    source: Source[T]
    policies: tuple[Policy[T], ...]
    runs: int = 4000
    quick_runs: int = 250
    right_from: int | None = None
    requests_per_nat: float | None = None


AnyScenario = Scenario[Any]


def characteristics(
    scenarios: Sequence[AnyScenario], *, seed: int, quick: bool = False, processes: int = 1
) -> Iterator[Characteristic]:
    """Run the scenarios, and yield the rows of each as soon as it is done.

    Args:
        scenarios: what to run; their names differ.
        seed: what everything is drawn from.
        quick: draw fewer runs.
        processes: how many to run on.

    Yields:
        One row for each policy of a scenario; scenarios in the order in which they are done.
    """
    collectors = {scenario.name: _Collector(scenario, seed, quick) for scenario in scenarios}
    batches = [
        (scenario, batch) for scenario in scenarios for batch in range(collectors[scenario.name].batches)
    ]
    for name, outcomes in _played(batches, seed, quick, processes):
        yield from collectors[name].add(outcomes)


def _played(
    batches: Sequence[tuple[AnyScenario, int]], seed: int, quick: bool, processes: int
) -> Iterator[tuple[str, "_Batch"]]:
    if processes == 1:
        for scenario, batch in batches:
            yield scenario.name, _play(scenario, seed, batch, quick)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        names: dict[Future[_Batch], str] = {
            pool.submit(_play, scenario, seed, batch, quick): scenario.name for scenario, batch in batches
        }
        try:
            for done in as_completed(names):
                yield names[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Batch:
    number: int
    outcomes: tuple[Outcome, ...]


@dataclass(slots=True)
class _Collector:
    """The batches of one scenario, until all are there."""

    scenario: AnyScenario
    seed: int
    quick: bool
    done: list[_Batch] = field(default_factory=list)

    @property
    def batches(self) -> int:
        return len(_sizes(self.scenario, self.quick))

    def add(self, batch: _Batch) -> Iterator[Characteristic]:
        self.done.append(batch)
        if len(self.done) < self.batches:
            return
        in_order = [one.outcomes for one in sorted(self.done, key=lambda one: one.number)]
        for policy, outcomes in zip(self.scenario.policies, zip(*in_order, strict=True), strict=True):
            yield _judged(self.scenario, policy, reduce(add, outcomes), self.seed)


def _judged(scenario: AnyScenario, policy: Policy[Any], outcome: Outcome, seed: int) -> Characteristic:
    nats = -float(np.log(policy.alpha))
    return summarised(
        outcome,
        scenario=scenario.name,
        policy=policy.name,
        claim=policy.claim,
        alpha=policy.alpha,
        right_from=scenario.right_from,
        limit_requests=None if scenario.requests_per_nat is None else nats * scenario.requests_per_nat,
        seed=seed,
    )


def _play(scenario: AnyScenario, seed: int, batch: int, quick: bool) -> _Batch:
    """Draw one batch and let every policy look at it."""
    random = np.random.default_rng([seed, crc32(scenario.name.encode()), batch])
    traffic = scenario.source.draw(random, _sizes(scenario, quick)[batch])
    before = traffic.treated[:, : scenario.right_from or 0].sum(axis=1)
    outcomes = []
    for policy in scenario.policies:
        stops = policy.test.stops(traffic)
        outcomes.append(Outcome(stops.positions, (stops.treatment_requests - before).astype(np.float64)))
    return _Batch(batch, tuple(outcomes))


def _sizes(scenario: AnyScenario, quick: bool) -> list[int]:
    """How many runs each batch has."""
    runs = scenario.quick_runs if quick else scenario.runs
    at_once = max(1, min(_RUNS_AT_ONCE, _CELLS_AT_ONCE // len(scenario.source.shares)))
    return [min(at_once, runs - first) for first in range(0, runs, at_once)]
