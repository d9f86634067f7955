"""Drawing many runs in batches, and comparing what they give with figures from elsewhere.

Tolerances are four standard errors of the simulation. Reference figures come from a simulation of their
own, whose error is not known; means are allowed 5 % for it where a test says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analytics.betting import Floats
from analytics.simulation import Stops
from analytics.traffic import Flags, IndependentUnits, StickyUnits, Traffic

STANDARD_ERRORS = 4.0
REFERENCE_ERROR = 0.05
BATCH = 250


@dataclass(frozen=True, slots=True)
class Measured:
    """Runs of one scenario under one test."""

    stopped: Flags
    positions: Floats
    treatment_requests: Floats

    @property
    def rate(self) -> float:
        return float(self.stopped.mean())

    @property
    def rate_error(self) -> float:
        """Four standard errors of `rate`, at least those of one run in all."""
        runs = len(self.stopped)
        rate = min(max(self.rate, 1.0 / runs), 1.0 - 1.0 / runs)
        return float(STANDARD_ERRORS * (rate * (1.0 - rate) / runs) ** 0.5)

    def mean_error(self, values: Floats) -> float:
        return float(STANDARD_ERRORS * values.std() / len(values) ** 0.5)


def measure(
    scenario: IndependentUnits | StickyUnits, stops: Callable[[Traffic], Stops], *, runs: int, seed: int
) -> Measured:
    """Draw `runs` runs and see where each stops; the same seed draws the same traffic for every test."""
    random = np.random.default_rng(seed)
    batches = [stops(scenario.draw(random, min(BATCH, runs))) for _ in range(0, runs, BATCH)]
    return Measured(
        np.concatenate([batch.stopped for batch in batches]),
        np.concatenate([batch.positions for batch in batches]).astype(np.float64),
        np.concatenate([batch.treatment_requests for batch in batches]).astype(np.float64),
    )


def assert_requests(measured: Measured, expected: float) -> None:
    """All runs stop (but for one in 1,000) after the expected mean number of treatment requests."""
    assert measured.rate >= 0.999
    mean = measured.treatment_requests.mean()
    assert (
        abs(mean - expected) <= measured.mean_error(measured.treatment_requests) + REFERENCE_ERROR * expected
    )


def assert_at_most(measured: Measured, budget: float) -> None:
    """The rate is not significantly above the budget."""
    runs = len(measured.stopped)
    assert measured.rate <= budget + STANDARD_ERRORS * (budget * (1.0 - budget) / runs) ** 0.5
