"""The treatment's error rate minus the control's: an estimate, and an interval that may be looked at always.

The interval at time t holds every δ that has not been rejected at that moment:

* from below, by the bets on a treatment worse by more than δ, against p_t − p_c ≤ δ. These remain bets
  with positive factors for negative δ (`analytics.betting.log_factors_if_worse`), and none of their
  factors grows with δ, so the rejected δ form a half-line and bisection finds its end;
* from above, by the same bets with the roles exchanged: the treatment is called control, w becomes 1 − w
  and δ becomes −δ.

Each side rejects at 2/α, so while p_t − p_c stays constant both are right at all times together with
probability ≥ 1 − α (Ville's inequality, twice). Where the difference drifts, the lower limit stays below
its largest value and the upper limit above its smallest. Capital is not kept in reserve here, so
ticks do not matter and counts are added up by share.

The ratios reach closer to 1 than those of the rollback: a bet with ratio r cannot tell differences apart
that are much smaller than (r − 1)/2 times the rate, and an interval should go on narrowing.

Source: confidence sequences by betting, Waudby-Smith & Ramdas 2023, arXiv:2010.09686.
"""

import math
from collections.abc import Sequence

import numpy as np

from analytics.betting import RATIOS, Floats, log_factors_if_worse, log_sum
from analytics.columns import Columns, TickCounts, columns_of
from analytics.results import Insufficient, Interval

INTERVAL_RATIOS = (1.003, 1.01, 1.03, 1.1, *RATIOS)
"""Rate ratios of the interval's bets: those of the rollback and four smaller ones."""

_HALVINGS = 50  # of a range of length 2: limits are found to 2e-15


def difference_estimate(counts: Sequence[TickCounts] | Columns) -> float | Insufficient:
    """The mean propensity-weighted score, an unbiased estimate of p_t − p_c over the observations.

    Σ(x_t/w − x_c/(1−w)) / n with x errors and n observations, each row at its own w (Horvitz & Thompson
    1952, doi:10.1080/01621459.1952.10483446); cut to [−1, 1].

    Args:
        counts: tested observations, in any order.

    Returns:
        A difference of rates, or `Insufficient` when there is no observation.
    """
    columns = columns_of(counts)
    if isinstance(columns, Insufficient):
        return columns
    w = columns.distinct_shares
    observed = _by_share(columns)
    score = (observed[:, 0] / w - observed[:, 1] / (1.0 - w)).sum() / observed.sum()
    return float(np.clip(score, -1.0, 1.0))


def difference_interval(counts: Sequence[TickCounts] | Columns, *, alpha: float) -> Interval | Insufficient:
    """An always-valid interval for p_t − p_c at level 1 − α.

    What to count: independent observations, so at most the first request of each unit for exact coverage;
    counted as for the rollback, the lower limit keeps its promise and the upper one may not.

    Args:
        counts: tested observations, in any order.
        alpha: the probability that the interval ever misses a constant difference, in (0, 1).

    Returns:
        Limits in [−1, 1], or `Insufficient` when there is no observation, or when no constant difference
        agrees with what was seen.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is a probability in (0, 1), not {alpha}")
    columns = columns_of(counts)
    if isinstance(columns, Insufficient):
        return columns
    shares, observed = columns.distinct_shares, _by_share(columns)
    lower = _lower_limit(shares, observed, alpha / 2.0)
    upper = -_lower_limit(1.0 - shares, observed[:, [1, 0, 2]], alpha / 2.0)
    if lower > upper:
        return Insufficient("the difference has changed over time: no constant one agrees with the counts")
    return Interval(lower, upper, 1.0 - alpha)


def _by_share(columns: Columns) -> Floats:
    """Shape (m, 3): the observations at each distinct share."""
    observed = np.zeros((len(columns.distinct_shares), 3), np.int64)
    np.add.at(observed, columns.share_index, columns.observed.T)
    return observed.astype(np.float64)


def _lower_limit(shares: Floats, observed: Floats, alpha: float) -> float:
    """The largest δ that is rejected, or −1 when none is."""

    def rejected(margin: float) -> bool:
        gained = np.tensordot(observed, log_factors_if_worse(shares, margin, INTERVAL_RATIOS), axes=2)
        return float(log_sum(gained)) >= math.log(len(INTERVAL_RATIOS) / alpha)

    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low
