"""Do two error rates differ at all? Exact with few events, also when one variant has none.

H0: p_t = p_c at every moment, while both may drift together. Half of the capital is bet on a treatment
that is worse and half on one that is better, by the factors of `analytics.betting` at δ = 0: given an
event, which variant did it come from? With w and ratio r a treatment event multiplies by r/(1+w(r−1)) and
a control event by 1/(1+w(r−1)); for the better treatment r becomes 1/r. Observations without an event
change nothing. E ≥ 1/α rejects, whenever one looks (Ville's inequality); its p stands next to the normal
approximation of `analytics.sequential`, which knows nothing about a variant without events.

Sources: Lindon & Malek 2020, arXiv:2011.03567; Lindon, Sanden & Shirikian 2022, arXiv:2205.14762.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betaln, xlogy

from analytics.betting import Floats, log_factors_if_worse, log_sum
from analytics.columns import Columns, TickCounts, columns_of
from analytics.comparison import check_alpha
from analytics.difference import INTERVAL_RATIOS
from analytics.evidence import Evidence, EvidencePath
from analytics.results import Insufficient


def two_sided_evidence(
    counts: Sequence[TickCounts] | Columns, *, alpha: float, now_tick: int | None = None
) -> Evidence | Insufficient:
    """Evidence against "the treatment's rate of events equals the control's, always".

    What to count is what rollback counts: the first event of each unit. Where the event is the good
    outcome, it is counted in the place of the error. With more than two variants, w is the treatment's
    share of what it and the control get together.

    Args:
        counts: tested observations, in any order; rows of the same tick and share are added up.
        alpha: the probability of ever rejecting equal rates, in (0, 1).
        now_tick: replay as of the end of this tick, leaving later rows out; by default all rows count.

    Returns:
        The evidence, or `Insufficient` when there is no event in either variant: without one nothing
        can be said, however many observations there are.
    """
    check_alpha(alpha)
    columns = _with_events(counts, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    path = _path(columns)
    treatment_errors, control_errors, others = columns.totals
    return Evidence(
        log_e_value=float(path[-1]),
        log_e_peak=max(0.0, float(path.max())),
        threshold=1.0 / alpha,
        treatment_errors=treatment_errors,
        control_errors=control_errors,
        others=others,
    )


def two_sided_path(
    counts: Sequence[TickCounts] | Columns, *, now_tick: int | None = None
) -> EvidencePath | Insufficient:
    """The course of `two_sided_evidence`, tick by tick; the same arguments, without the threshold."""
    columns = _with_events(counts, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    return EvidencePath(tuple(columns.distinct_ticks.tolist()), tuple(_path(columns).tolist()))


def log_uniform_mixture(treatment_events: int, control_events: int, *, share: float) -> float:
    """log E of the uniform mixture over where an event comes from, for a share that never changed.

    ∫θ^x_t(1−θ)^x_c dθ / (w^x_t(1−w)^x_c) = B(x_t+1, x_c+1)/(w^x_t(1−w)^x_c). At one share this needs no
    grid of ratios; 40 events, all in one of two equal variants, give E = 2.7e10.

    Args:
        treatment_events: x_t ≥ 0.
        control_events: x_c ≥ 0.
        share: w in (0, 1), the treatment's propensity.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share is a fraction in (0, 1), not {share}")
    if min(treatment_events, control_events) < 0:
        raise ValueError(f"counts are not negative, but one is {min(treatment_events, control_events)}")
    log_mixture = float(betaln(treatment_events + 1, control_events + 1))
    log_null = float(xlogy(treatment_events, share) + xlogy(control_events, 1.0 - share))
    return log_mixture - log_null


def _with_events(counts: Sequence[TickCounts] | Columns, now_tick: int | None) -> Columns | Insufficient:
    columns = columns_of(counts, now_tick)
    if isinstance(columns, Insufficient):
        return columns
    treatment_errors, control_errors, others = columns.totals
    if treatment_errors + control_errors == 0:
        return Insufficient(f"no event among {others} observations: rates without events cannot be compared")
    return columns


def _path(columns: Columns) -> Floats:
    """log E at the end of each distinct tick, shape (ticks,)."""
    shares = columns.distinct_shares
    worse = log_factors_if_worse(shares, 0.0, INTERVAL_RATIOS)
    better = log_factors_if_worse(1.0 - shares, 0.0, INTERVAL_RATIOS)[:, [1, 0, 2]]
    bets = np.concatenate([worse, better], axis=2)
    return log_sum(columns.gains(bets).cumsum(axis=0)) - math.log(bets.shape[2])
