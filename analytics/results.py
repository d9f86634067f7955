"""What a calculation hands back when it is not a plain number."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Insufficient:
    """There is not enough evidence for a number, so none is given.

    Missing evidence is never disguised as p = 1, an e-value of 1 or an interval of width zero.

    Attributes:
        reason: what is missing, in a sentence that can be shown to a person.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval for one quantity, in that quantity's own unit.

    Attributes:
        lower: the lower limit.
        upper: the upper limit; never below `lower`.
        level: the probability with which such intervals cover the truth, in (0, 1).
    """

    lower: float
    upper: float
    level: float

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise ValueError(f"an interval needs lower <= upper, not [{self.lower}, {self.upper}]")
        if not 0.0 < self.level < 1.0:
            raise ValueError(f"the level of an interval lies in (0, 1), not {self.level}")

    def __contains__(self, value: float) -> bool:
        return self.lower <= value <= self.upper

    @property
    def width(self) -> float:
        """The distance between the limits."""
        return self.upper - self.lower
