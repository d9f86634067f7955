"""Bucket sums of a canary whose share was raised on the way, put together without mixing up its steps.

A treatment that ramps from 5 to 50 % serves most of its requests late. Whatever hits both variants then,
such as an outage, weighs more in the treatment's plain mean than in the control's, and the difference of
plain means blames the treatment (Simpson's paradox). So the sums are kept for each share w, and every
request counts 1/w (treatment) or 1/(1−w) (control): both means then go over the same mixture of steps,
that of all requests. This is the weighting of Hájek, 1/w with its sum as the denominator; the variance of
`analytics.buckets` holds for the weighted sums as it stands, and a unit that was there in several steps
is still in one bucket.

Weights are scaled so that each variant keeps its total n: at a single share nothing changes, and the clock
of a confidence sequence stays the number of requests.

Source: Horvitz & Thompson 1952, doi:10.1080/01621459.1952.10483446; Hájek 1971, in Foundations of
Statistical Inference, p. 236.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from analytics.buckets import BucketSums


@dataclass(frozen=True, eq=False, slots=True)
class StepSums:
    """Sums of both variants while the treatment had one share.

    Attributes:
        share: w in (0, 1).
        treatment: the treatment's sums.
        control: the control's sums.
    """

    share: float
    treatment: BucketSums
    control: BucketSums


def over_ramp(steps: Sequence[StepSums]) -> tuple[BucketSums, BucketSums]:
    """The treatment's and the control's sums over all steps, every request weighted by its propensity.

    Args:
        steps: at least one; the same share may be there more than once.

    Raises:
        ValueError: no step, a share outside (0, 1), or different numbers of buckets.
    """
    if not steps:
        raise ValueError("there is no step to take sums of")
    for step in steps:
        if not 0.0 < step.share < 1.0:
            raise ValueError(f"a share of {step.share} compares nothing: it must lie in (0, 1)")
    return (
        _weighted((step.treatment, 1.0 / step.share) for step in steps),
        _weighted((step.control, 1.0 / (1.0 - step.share)) for step in steps),
    )


def _weighted(steps: Iterable[tuple[BucketSums, float]]) -> BucketSums:
    every = list(steps)
    plain = sum(sums.total_n for sums, _ in every)
    inflated = sum(sums.total_n * weight for sums, weight in every)
    scale = plain / inflated if inflated else 1.0
    return reduce(add, (_times(sums, weight * scale) for sums, weight in every))


def _times(sums: BucketSums, weight: float) -> BucketSums:
    return BucketSums(sums.n * weight, sums.s * weight, None if sums.x is None else sums.x * weight)
