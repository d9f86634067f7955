"""Tests put together: two of one question, and one with the rule of what it may count."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from analytics.games import Stops
from analytics.traffic import Counting, Flags, Traffic

T_contra = TypeVar("T_contra", contravariant=True)


class Stopper(Protocol[T_contra]):
    """Anything that stops runs of simulated traffic."""

    def stops(self, traffic: T_contra) -> Stops:
        """Where each run stops."""
        ...


@dataclass(frozen=True, slots=True)
class Either(Generic[T_contra]):
    """Two tests of one question, each with half of the error budget: the first to be convinced decides."""

    one: Stopper[T_contra]
    other: Stopper[T_contra]

    def stops(self, traffic: T_contra) -> Stops:
        """Where each run stops."""
        one, other = self.one.stops(traffic), self.other.stops(traffic)
        sooner: Flags = one.stopped & (~other.stopped | (one.positions <= other.positions))
        return Stops(
            np.where(sooner, one.positions, other.positions),
            np.where(sooner, one.treatment_requests, other.treatment_requests),
        )


class _CountingTest(Protocol):
    def stops(self, traffic: Traffic, counting: Counting) -> Stops: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A test of error rates that is given only the requests of a counting rule."""

    test: _CountingTest
    counting: Counting

    def stops(self, traffic: Traffic) -> Stops:
        """Where each run stops."""
        return self.test.stops(traffic, self.counting)
