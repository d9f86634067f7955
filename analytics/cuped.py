"""CUPED: less variance by what was known of the units before the experiment.

With the covariate's sums x_b beside n_b and s_b, M = Σs/Σn and K = Σx/Σn over all variants together,

    θ = Σ(s_b − M·n_b)(x_b − K·n_b) / Σ(x_b − K·n_b)²       over the buckets of all variants,
    m' = m − θ·(k − K)                                      in each variant, with k = Σx/Σn there,

and the variance of m' is that of `analytics.buckets` on the residuals of s − θ·x. The covariate is from
before the assignment, so its expectation is the same in all variants and m' has the expectation of m.

Source: Deng, Xu, Kohavi & Walker 2013, doi:10.1145/2433396.2433413.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.betting import Floats
from analytics.buckets import BucketSums, effective_degrees, residual_variance, too_few_buckets
from analytics.estimates import Estimate
from analytics.results import Insufficient


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is taken off every mean, found over all variants together.

    Attributes:
        theta: θ, units of the metric per unit of the covariate.
        covariate_mean: K, the covariate's mean over all variants.
    """

    theta: float
    covariate_mean: float


def adjustment(variants: Sequence[BucketSums]) -> Adjustment | Insufficient:
    """θ and K, pooled over all variants of the experiment, each with a covariate.

    Returns:
        The adjustment, or `Insufficient` when a covariate is missing or does not vary.
    """
    if not variants or any(sums.x is None for sums in variants):
        return Insufficient("not every variant has a covariate from before the experiment")
    n = np.concatenate([sums.n for sums in variants])
    s = np.concatenate([sums.s for sums in variants])
    x = np.concatenate([_covariate(sums) for sums in variants])
    if np.count_nonzero(n) < 2:
        return Insufficient("fewer than 2 analysis buckets have observations")
    covariate_mean = float(x.sum() / n.sum())
    of_metric = s - s.sum() / n.sum() * n
    of_covariate = x - covariate_mean * n
    spread = float(of_covariate @ of_covariate)
    if spread <= 1e-24 * float(x @ x):
        return Insufficient("the covariate is the same everywhere: there is nothing to adjust by")
    return Adjustment(float(of_metric @ of_covariate) / spread, covariate_mean)


def adjusted_mean(
    sums: BucketSums, by: Adjustment, *, sample_size: float | None = None
) -> Estimate | Insufficient:
    """The mean of one variant after the adjustment; relative effects stay relative to the mean before it.

    Args:
        sums: the sums of one variant, with a covariate.
        by: the adjustment, from all variants.
        sample_size: as in `analytics.buckets.bucketed_mean`.

    Returns:
        The estimate, or `Insufficient` with fewer than two non-empty buckets.
    """
    if (few := too_few_buckets(sums, 2)) is not None:
        return few
    x = _covariate(sums)
    mean = sums.total / sums.total_n
    covariate_mean = float(x.sum()) / sums.total_n
    residuals = (sums.s - mean * sums.n) - by.theta * (x - covariate_mean * sums.n)
    return Estimate(
        mean=mean - by.theta * (covariate_mean - by.covariate_mean),
        variance=residual_variance(residuals, sums),
        sample_size=sums.total_n if sample_size is None else sample_size,
        degrees=effective_degrees(sums),
        reference=mean,
    )


def _covariate(sums: BucketSums) -> Floats:
    if sums.x is None:
        raise ValueError("these sums have no covariate to adjust by")
    return sums.x
