"""The samples whose results are known from elsewhere, and comparisons that must have come about."""

from analytics.comparison import Comparison
from analytics.estimates import Estimate
from analytics.means import SampleSums, sample_mean
from analytics.proportions import EventCounts, proportion
from analytics.results import Insufficient


def rates() -> tuple[Estimate, Estimate]:
    """570 of 10,100 (treatment) and 500 of 10,000 (control)."""
    return estimated(proportion(EventCounts(10_100, 570))), estimated(proportion(EventCounts(10_000, 500)))


def means() -> tuple[Estimate, Estimate]:
    """(53i mod 103)/10 + .2 for i < 1,100 (treatment) and (37i mod 101)/10 for i < 1,000 (control)."""
    treatment = SampleSums.of(53 * i % 103 / 10 + 0.2 for i in range(1_100))
    control = SampleSums.of(37 * i % 101 / 10 for i in range(1_000))
    return estimated(sample_mean(treatment)), estimated(sample_mean(control))


def estimated(estimate: Estimate | Insufficient) -> Estimate:
    assert isinstance(estimate, Estimate)
    return estimate


def done(comparison: Comparison | Insufficient) -> Comparison:
    assert isinstance(comparison, Comparison)
    return comparison
