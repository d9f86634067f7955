"""Simulated traffic of an experiment, request by request, and what of it a test may count.

Many runs are drawn at once as arrays of shape (runs, requests). Random sources are passed in, so the same
seed gives the same traffic.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from analytics.betting import Floats

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests in order of time.

    Attributes:
        shares: shape (requests,), the treatment's propensity w at each request, in (0, 1).
        treated: shape (runs, requests), whether the treatment served it.
        errors: shape (runs, requests), whether it ended in an error.
        units: shape (runs, requests), whose request it was, numbered from 0 in each run; None when every
            request is a unit of its own.
    """

    shares: Floats
    treated: Flags
    errors: Flags
    units: NDArray[np.int32] | None = None


class Counting(StrEnum):
    """Which requests of a unit are put to the test."""

    EVERY_REQUEST = "every_request"
    FIRST_ERRORS = "first_errors"
    """All successes, and of the errors the unit's first: what rollback counts."""
    UNTIL_FIRST_ERROR = "until_first_error"
    """Everything up to and including the unit's first error."""
    FIRST_REQUEST = "first_request"
    """The unit's first request and nothing else: what promotion counts."""


@dataclass(frozen=True, slots=True)
class IndependentUnits:
    """Every request comes from a unit of its own; rates and shares may change from request to request.

    Attributes:
        shares: shape (requests,), the treatment's propensity w.
        control_rates: error rates of the control, shape (requests,) or a constant.
        treatment_rates: error rates of the treatment, shape (requests,) or a constant.
    """

    shares: Floats
    control_rates: Floats | float
    treatment_rates: Floats | float

    def draw(self, random: np.random.Generator, runs: int) -> Traffic:
        """Draw `runs` independent runs."""
        shape = (runs, len(self.shares))
        treated = random.random(shape, dtype=np.float32) < self.shares.astype(np.float32)
        control, treatment = (
            np.broadcast_to(np.asarray(rates, np.float32), shape[1:])
            for rates in (self.control_rates, self.treatment_rates)
        )
        errors = random.random(shape, dtype=np.float32) < np.where(treated, treatment, control)
        return Traffic(self.shares, treated, errors)


@dataclass(frozen=True, slots=True)
class StickyUnits:
    """Few busy units whose requests are alike, assigned by nested ranges of a hash.

    Each request belongs to a unit drawn in proportion to its activity, which is heavy-tailed (Pareto). A
    unit's error rate is drawn once from the Beta distribution with the given mean and intraclass
    correlation ρ: α = m(1−ρ)/ρ, β = (1−m)(1−ρ)/ρ. It is the same in both variants when their rates
    are equal. A unit whose hash lies below w gets the treatment, so a rising share never takes it away.

    Attributes:
        shares: shape (requests,), the treatment's propensity w.
        control_rate: the mean error rate of the control's units.
        treatment_rate: the mean error rate of the treatment's units.
        requests_per_unit: the mean over all units, those without a request included.
        correlation: ρ in [0, 1), between the errors of one unit.
        activity_tail: exponent of the Pareto distribution of activities; smaller is heavier.
        outage_rates: rate of additional errors that hit everybody, shape (requests,) or a constant.
    """

    shares: Floats
    control_rate: float
    treatment_rate: float
    requests_per_unit: float
    correlation: float
    activity_tail: float = 1.5
    outage_rates: Floats | float = 0.0

    def draw(self, random: np.random.Generator, runs: int) -> Traffic:
        """Draw `runs` independent runs."""
        requests = len(self.shares)
        units = np.empty((runs, requests), np.int32)
        treated = np.empty((runs, requests), np.bool_)
        errors = np.empty((runs, requests), np.bool_)
        for run in range(runs):
            units[run], treated[run], errors[run] = self._draw_run(random, requests)
        return Traffic(self.shares, treated, errors, units)

    def _draw_run(self, random: np.random.Generator, requests: int) -> tuple[NDArray[np.int32], Flags, Flags]:
        units, how_many = drawn_units(random, requests, self.requests_per_unit, self.activity_tail)
        treated = random.random(how_many)[units] < self.shares
        of_control = self._unit_rates(random, self.control_rate, how_many)
        of_treatment = of_control
        if self.treatment_rate != self.control_rate:
            of_treatment = self._unit_rates(random, self.treatment_rate, how_many)
        rates = np.where(treated, of_treatment[units], of_control[units])
        rates = 1.0 - (1.0 - rates) * (1.0 - np.asarray(self.outage_rates))
        return units.astype(np.int32), treated, random.random(requests) < rates

    def _unit_rates(self, random: np.random.Generator, mean: float, how_many: int) -> Floats:
        if self.correlation == 0.0 or mean in (0.0, 1.0):
            return np.full(how_many, mean)
        spread = (1.0 - self.correlation) / self.correlation
        return random.beta(mean * spread, (1.0 - mean) * spread, how_many)


def drawn_units(
    random: np.random.Generator, requests: int, requests_per_unit: float, activity_tail: float = 1.5
) -> tuple[NDArray[np.intp], int]:
    """Whose request each one is, by heavy-tailed (Pareto) activities, and how many units there are."""
    how_many = max(2, round(requests / requests_per_unit))
    reach = np.cumsum(random.pareto(activity_tail, how_many) + 1.0)
    return np.searchsorted(reach, random.random(requests) * reach[-1], side="right"), how_many


def first_requests(units: NDArray[np.int32]) -> Flags:
    """Which requests are the first of their unit, shape (runs, requests)."""
    first: Flags = np.arange(units.shape[1]) <= _first_positions(units, np.ones(units.shape, np.bool_))
    return first


def counted_requests(traffic: Traffic, counting: Counting) -> Flags:
    """Which requests a test may look at under a counting rule, shape (runs, requests)."""
    if counting is Counting.EVERY_REQUEST or traffic.units is None:
        return np.ones_like(traffic.errors)
    if counting is Counting.FIRST_REQUEST:
        return first_requests(traffic.units)
    until = _first_positions(traffic.units, traffic.errors)
    counted: Flags = np.arange(traffic.errors.shape[1]) <= until
    if counting is Counting.FIRST_ERRORS:
        counted |= ~traffic.errors
    return counted


def _first_positions(units: NDArray[np.int32], marked: Flags) -> NDArray[np.intp]:
    """For each request the position of the first marked one of its unit, or past the end if there is none."""
    runs, requests = units.shape
    firsts = np.full((runs, int(units.max()) + 1), requests)
    run, position = np.nonzero(marked)
    np.minimum.at(firsts, (run, units[run, position]), position)
    return np.take_along_axis(firsts, units.astype(np.intp), axis=1)
