"""One line of the self-test: what a policy did in a scenario, and whether what is claimed of it holds."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import betaincinv

from analytics.betting import Floats
from analytics.games import Positions

REQUESTS_WITHIN = 1.6
"""What a power claim promises: at most this many times the information limit."""

COVERAGE_BAND = (0.035, 0.065)
"""What a coverage claim promises of 95 % intervals: a miss rate within this band."""

_REFUTED_BELOW = 0.001  # a claim fails when the runs would be this improbable if it were true
_STANDARD_ERRORS = 3.1  # the same for a mean
_SHOWN_BELOW = 0.05


class Claim(StrEnum):
    """What is promised of a policy in a scenario."""

    FALSE_RATE = "false_rate"
    """It stops wrongly in at most α of all runs."""
    COVERAGE = "coverage"
    """Its 95 % interval misses the truth in 3.5 to 6.5 % of all runs."""
    REQUESTS = "requests"
    """It needs at most 1.6 times the requests of the information limit on average."""
    NONE = "none"
    """Nothing: it is there to be compared with."""


@dataclass(frozen=True, slots=True)
class Characteristic:
    """What one policy did in one scenario.

    Attributes:
        scenario: what the traffic was like.
        policy: what decided.
        claim: what is promised.
        holds: whether the runs agree with the claim, within the error of the simulation; None without one.
        n_runs: simulated runs.
        alpha: the error budget of the policy (for rules without one: that of the policies beside it).
        stopped: the fraction of runs in which the policy acted, rightly or wrongly.
        false_rate: the fraction in which it acted wrongly; None where acting is right from the start.
        false_rate_upper: one-sided upper 95 % bound of `false_rate`, exact (Clopper & Pearson 1934).
        mean_requests: requests the treatment served until the policy acted, or to the end, counted from
            the beginning of what there was to find; runs that acted before are left out.
        mean_requests_error: the standard error of `mean_requests`.
        limit_requests: the fewest any test with this α could need on average; None where there is no limit.
        seed: what everything was drawn from.
    """

    scenario: str
    policy: str
    claim: Claim
    holds: bool | None
    n_runs: int
    alpha: float
    stopped: float
    false_rate: float | None
    false_rate_upper: float | None
    mean_requests: float
    mean_requests_error: float
    limit_requests: float | None
    seed: int

    @property
    def times_limit(self) -> float | None:
        """`mean_requests` as a multiple of the limit."""
        return self.mean_requests / self.limit_requests if self.limit_requests else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the runs of one policy in one scenario stopped; batches merge with `+`.

    Attributes:
        positions: shape (runs,), the request after which each run stopped, −1 for never.
        requests: shape (runs,), requests of the treatment from the beginning of what there was to find
            until then.
    """

    positions: Positions
    requests: Floats

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            np.concatenate([self.positions, other.positions]), np.concatenate([self.requests, other.requests])
        )


def summarised(
    outcome: Outcome,
    *,
    scenario: str,
    policy: str,
    claim: Claim,
    alpha: float,
    right_from: int | None,
    limit_requests: float | None,
    seed: int,
) -> Characteristic:
    """Judge the runs of one policy in one scenario.

    Args:
        outcome: all runs.
        scenario: the scenario's name.
        policy: the policy's name.
        claim: what is promised.
        alpha: the policy's error budget.
        right_from: the request from which acting is right; None for never.
        limit_requests: the information limit at this α.
        seed: what the runs were drawn from.
    """
    runs = len(outcome.positions)
    stopped = outcome.positions >= 0
    wrong = stopped if right_from is None else stopped & (outcome.positions < right_from)
    requests = outcome.requests[~wrong] if right_from is not None and not wrong.all() else outcome.requests
    mean, error = float(requests.mean()), float(requests.std() / len(requests) ** 0.5)
    how_often = int(wrong.sum())
    has_false = right_from is None or right_from > 0
    return Characteristic(
        scenario=scenario,
        policy=policy,
        claim=claim,
        holds=_holds(claim, how_often, runs, alpha, mean - _STANDARD_ERRORS * error, limit_requests),
        n_runs=runs,
        alpha=alpha,
        stopped=float(stopped.mean()),
        false_rate=how_often / runs if has_false else None,
        false_rate_upper=upper_bound(how_often, runs, _SHOWN_BELOW) if has_false else None,
        mean_requests=mean,
        mean_requests_error=error,
        limit_requests=limit_requests,
        seed=seed,
    )


def upper_bound(how_often: int, runs: int, error: float) -> float:
    """The largest rate at which so few runs are not more improbable than `error` (Clopper & Pearson)."""
    return 1.0 if how_often == runs else float(betaincinv(how_often + 1, runs - how_often, 1.0 - error))


def lower_bound(how_often: int, runs: int, error: float) -> float:
    """The smallest rate at which so many runs are not more improbable than `error`."""
    return 0.0 if how_often == 0 else float(betaincinv(how_often, runs - how_often + 1, error))


def _holds(
    claim: Claim, how_often: int, runs: int, alpha: float, least_mean: float, limit: float | None
) -> bool | None:
    match claim:
        case Claim.FALSE_RATE:
            return lower_bound(how_often, runs, _REFUTED_BELOW) <= alpha
        case Claim.COVERAGE:
            least, most = COVERAGE_BAND
            lowest = lower_bound(how_often, runs, _REFUTED_BELOW)
            return lowest <= most and upper_bound(how_often, runs, _REFUTED_BELOW) >= least
        case Claim.REQUESTS:
            if limit is None:
                raise ValueError("a claim about requests needs the information limit")
            return least_mean <= REQUESTS_WITHIN * limit
        case Claim.NONE:
            return None
