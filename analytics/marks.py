"""What a figure is drawn with: marks that show one point as well as a thousand, or say that there is none."""

from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CONTROL = "#5b6770"
PALETTE = ("#0b6e99", "#c8553d", "#6a994e", "#7b5ea7", "#d4a017", "#3d5a80", "#9c6644", "#2a9d8f", "#bc4b8a")
FAINT = "#d7dbde"
FEW = 15
"""Up to so many points in a row are marked: one of them alone makes no line."""

Step = Literal["pre", "post", "mid"]


def without_data(figure: Figure, axes: Axes) -> Figure:
    """Say that there is nothing to draw, in place of the axes."""
    axes.set_axis_off()
    axes.text(0.0, 0.5, "nothing recorded yet", transform=axes.transAxes, fontsize=9, color=CONTROL)
    return figure


def say(axes: Axes, sentence: str, place: float) -> None:
    """A sentence at a height, from the left edge, wherever the horizontal axis ends."""
    backed = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(0.01, place, sentence, transform=axes.get_yaxis_transform(), va="center", fontsize=7,
              color=CONTROL, bbox=backed)  # fmt: skip


def style(points: pd.DataFrame) -> str:
    """How to plot a line through these points."""
    return "o-" if len(points) <= FEW else "-"


def to_its_end(minutes: pd.DataFrame) -> pd.DataFrame:
    """The rows, with the last once more at the end of its minute: a step is as wide as what it stands for."""
    last = minutes.tail(1).assign(minute=lambda row: row["minute"] + pd.Timedelta(minutes=1))
    return pd.concat([minutes, last], ignore_index=True)


def draw_band(axes: Axes, times: pd.Series, limits: pd.DataFrame, *, step: Step | None = None) -> None:
    """Intervals over time: a band, or a bar for each where they are few."""
    if len(limits) <= FEW:
        axes.vlines(times, limits["lower"], limits["upper"], color=PALETTE[0], linewidth=5.0, alpha=0.25)
    else:
        axes.fill_between(times, limits["lower"], limits["upper"], color=PALETTE[0], alpha=0.2, step=step)
