"""Rules that compare the rates of one window with a threshold, and know nothing of chance.

`windowed_rule` is what everybody starts from. It is offered because people expect it; under continuous
monitoring it is either blind or trigger-happy (`analytics.simulation` shows how much). `kill_switch` is
for outages so large that no statistics are needed.

Comparisons are made in exact fractions, so that 15 % is never "more than 10 % + 5 points".
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Self

from analytics.results import Insufficient


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What one variant did within a window of time; merges with `+`.

    Attributes:
        requests: all requests of the window.
        errors: those that ended in an error.
    """

    requests: int
    errors: int

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"a window has 0 <= errors <= requests, not {self.errors} of {self.requests}")

    def __add__(self, other: Self) -> Self:
        return type(self)(self.requests + other.requests, self.errors + other.errors)

    @property
    def rate(self) -> float:
        """Errors per request, a fraction; there must be at least one request."""
        return self.errors / self.requests

    @property
    def exact_rate(self) -> Fraction:
        """`rate` without rounding."""
        return Fraction(self.errors, self.requests)


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """The two rates of a window, and whether they are too far apart.

    Attributes:
        treatment_rate: errors per request of the treatment, a fraction.
        control_rate: errors per request of the control, a fraction.
        margin: the difference that is still accepted, a fraction.
        exceeded: whether the treatment's rate is strictly greater than the control's plus the margin.
    """

    treatment_rate: float
    control_rate: float
    margin: float
    exceeded: bool

    @property
    def difference(self) -> float:
        """The treatment's rate minus the control's."""
        return self.treatment_rate - self.control_rate


class Outage(StrEnum):
    """Who is down."""

    TREATMENT_DOWN = "treatment_down"
    BOTH_DOWN = "both_down"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """What the last minute says about an outage.

    Attributes:
        outage: who is down; a control that is down alone counts as `NEITHER`, as the treatment serves.
        treatment_rate: errors per request of the treatment, a fraction.
        control_rate: that of the control, or why there is none.
    """

    outage: Outage
    treatment_rate: float
    control_rate: float | Insufficient


def windowed_rule(
    treatment: WindowCounts, control: WindowCounts, *, margin: float = 0.05, minimum_requests: int = 20
) -> ThresholdResult | Insufficient:
    """Whether the treatment's error rate exceeds the control's by more than `margin` in this window.

    Args:
        treatment: the treatment's window.
        control: the control's window, over the same time.
        margin: the difference of rates that is still accepted, in [0, 1).
        minimum_requests: requests that each of the two must have, at least 1.

    Returns:
        The comparison, or `Insufficient` when either has too few requests.
    """
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"margin is a difference of rates in [0, 1), not {margin}")
    for name, window in (("treatment", treatment), ("control", control)):
        if too_few := _too_few(name, window, minimum_requests):
            return too_few
    exceeded = treatment.exact_rate > control.exact_rate + _exact(margin)
    return ThresholdResult(treatment.rate, control.rate, margin, exceeded)


def kill_switch(
    treatment: WindowCounts, control: WindowCounts, *, rate: float = 0.5, minimum_requests: int = 20
) -> KillSwitch | Insufficient:
    """Whether the treatment, or everything, is down: an error rate of at least `rate` in the last minute.

    A control with fewer than `minimum_requests` cannot be called down, so the treatment is then taken to
    be down alone: taking it out of service is the error that costs less.

    Args:
        treatment: the treatment's last minute.
        control: the control's last minute.
        rate: errors per request from which a variant is down, in (0, 1].
        minimum_requests: requests below which nothing is said about a variant, at least 1.

    Returns:
        Who is down, or `Insufficient` when the treatment has too few requests.
    """
    if not 0.0 < rate <= 1.0:
        raise ValueError(f"rate is a fraction in (0, 1], not {rate}")
    if too_few := _too_few("treatment", treatment, minimum_requests):
        return too_few
    unknown = _too_few("control", control, minimum_requests)
    limit = _exact(rate)
    if treatment.exact_rate < limit:
        outage = Outage.NEITHER
    elif unknown is None and control.exact_rate >= limit:
        outage = Outage.BOTH_DOWN
    else:
        outage = Outage.TREATMENT_DOWN
    return KillSwitch(outage, treatment.rate, unknown or control.rate)


def _too_few(name: str, window: WindowCounts, minimum_requests: int) -> Insufficient | None:
    if minimum_requests < 1:
        raise ValueError(f"minimum_requests is at least 1, not {minimum_requests}")
    if window.requests >= minimum_requests:
        return None
    return Insufficient(f"{window.requests} {name} requests in the window, {minimum_requests} needed")


def _exact(fraction: float) -> Fraction:
    """The decimal a person wrote, not the binary number next to it."""
    return Fraction(str(fraction))
