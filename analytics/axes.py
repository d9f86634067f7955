"""Axes that stay readable when there is little to show: of time, and of durations."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

MINIMUM_SPAN = pd.Timedelta(minutes=6)
"""What happened within a minute is not stretched over the whole width."""

MARGIN = 0.03
SECONDS_FROM = 10.0
LOGARITHMIC_FROM = 10.0
FINE_DECADES = 2.5


def time_axis(axes: Axes, times: pd.Series) -> None:
    """Make the horizontal axis one of time, which holds these moments and spans some minutes at least.

    Args:
        axes: whose horizontal axis it is.
        times: moments with a time zone; at least one.
    """
    first, last = times.min(), times.max()
    missing = max(MINIMUM_SPAN - (last - first), pd.Timedelta(0)) / 2
    margin = MARGIN * (last - first) + missing
    axes.set_xlim(first - margin, last + margin)
    locator = AutoDateLocator(tz="UTC", minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC"))  # type: ignore[no-untyped-call]
    axes.set_xlabel("UTC")


def in_readable_unit(seconds: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], str]:
    """Durations in milliseconds, or in seconds where the longest takes many, and the unit's name.

    Args:
        seconds: shape (values,), at least one.
    """
    return (seconds, "seconds") if seconds.max() >= SECONDS_FROM else (1_000.0 * seconds, "ms")


def duration_axis(axes: Axes, values: npt.NDArray[np.float64]) -> None:
    """Make the horizontal axis hold these durations: from 0, or logarithmic where they span a decade.

    Args:
        axes: whose horizontal axis it is.
        values: shape (values,), >= 0, at least one; in the unit of the axis.
    """
    low, high = values.min(), values.max()
    if low <= 0.0 or high < LOGARITHMIC_FROM * low:
        axes.set_xlim(0.0, 1.05 * high or 1.0)
        return
    axes.set_xscale("log")
    fine = high < 10.0**FINE_DECADES * low
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
