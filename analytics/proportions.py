"""The rate of a binary outcome over independent samples: p = k/n with Var(p) = p(1−p)/n.

This is the normal approximation. With few events it is a poor one; `analytics.two_sided` is exact then
and stands next to it.
"""

from dataclasses import dataclass
from typing import Self

from analytics.estimates import Estimate
from analytics.results import Insufficient


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Independent samples of one variant that had the event or not; merges with `+`.

    Attributes:
        n: how many samples.
        events: how many of them had the event.
    """

    n: int
    events: int

    def __post_init__(self) -> None:
        if not 0 <= self.events <= self.n:
            raise ValueError(f"counts have 0 <= events <= n, not {self.events} of {self.n}")

    def __add__(self, other: Self) -> Self:
        return type(self)(self.n + other.n, self.events + other.events)


def proportion(counts: EventCounts) -> Estimate | Insufficient:
    """The rate of the event, a fraction.

    Returns:
        The estimate with n − 1 degrees of freedom, or `Insufficient` with fewer than two samples.
    """
    if counts.n < 2:
        return Insufficient(f"{counts.n} samples, 2 needed for a rate with a variance")
    rate = counts.events / counts.n
    return Estimate(rate, rate * (1.0 - rate) / counts.n, counts.n, counts.n - 1)
