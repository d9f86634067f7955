"""Figures of an experiment, drawn from the frames of `analytics.report`.

Every function returns a `matplotlib.figure.Figure` of its own and touches no state of pyplot. Each figure
says in its title whether what it shows may be looked at at any time. Few points are drawn as points, and
where there are none the figure says so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analytics.axes import duration_axis, in_readable_unit, time_axis
from analytics.marks import CONTROL, FAINT, PALETTE, draw_band, say, style, to_its_end, without_data

ALWAYS = "may be looked at at any time"
ONCE = "to be looked at once, at the planned end"
_POINT_SIZE = 5.0
_SENTENCE_WIDTH = 84


def forest(
    differences: pd.DataFrame,
    in_units: Mapping[str, pd.DataFrame] | None = None,
    *,
    title: str = "Treatment against control",
) -> Figure:
    """Differences with their intervals, a row for each metric, segment and variant.

    Args:
        differences: from `analytics.report.results` with a difference; relative ones are shown in per cent.
        in_units: more of them, absolute ones by their unit; each unit has an axis of its own below.
        title: what is compared.
    """
    panels = {"": differences, **(in_units or {})}
    panels = {unit: rows.iloc[::-1].reset_index(drop=True) for unit, rows in panels.items() if len(rows)}
    heights = [0.7 + 0.42 * len(rows) for rows in panels.values()] or [1.1]
    figure = Figure(figsize=(7.2, 0.7 + sum(heights)), layout="constrained")
    every = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    shown = pd.concat(panels.values()) if panels else differences
    every[0].set_title(f"{title}\n{_when(shown)}", loc="left", fontsize=10)
    for axes, (unit, rows) in zip(every, (panels or {"": differences}).items(), strict=True):
        _draw_forest(axes, rows, unit)
    return figure


def interval_course(course: pd.DataFrame, *, title: str, relative: bool = True) -> Figure:
    """How an interval narrowed over time.

    Args:
        course: from `analytics.report.course`.
        title: which metric of which variant.
        relative: whether the difference is a fraction of the control's mean.
    """
    figure, axes = _figure()
    axes.set_title(f"{title}\n{_when(course)}", loc="left", fontsize=10)
    seen = course[course["point"].notna()]
    if seen.empty:
        return without_data(figure, axes)
    axes.axhline(0.0, color=CONTROL, linewidth=1.0)
    draw_band(axes, seen["recorded_at"], seen)
    axes.plot(
        seen["recorded_at"], seen["point"], style(seen), color=PALETTE[0], linewidth=1.8, markersize=4.0
    )
    _fit_to_most(axes, seen)
    decisions = seen[seen["occasion"] == "decision"]
    axes.plot(
        decisions["recorded_at"], decisions["point"], "o", color=PALETTE[1], label="a decision was made"
    )
    if len(decisions):
        axes.legend(frameon=False, fontsize=8)
    axes.set_ylabel("difference, % of the control's mean" if relative else "difference, in the metric's unit")
    if relative:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    time_axis(axes, seen["recorded_at"])
    return figure


def canary_evidence(
    evidence: pd.DataFrame, *, alpha_rollback: float | None, alpha_promote: float | None
) -> Figure:
    """The e-values of a canary on its way up, with the thresholds they decide at.

    Args:
        evidence: from `analytics.report.canary_evidence`.
        alpha_rollback: the error budget of the test on first errors: the rollback's by the number of
            guardrails; None where no guardrail is on errors.
        alpha_promote: that of the test on first requests: half of the promotion's; None in the watch, which
            promotes nothing.
    """
    figure, axes = _figure()
    _draw_share(axes, evidence)
    tests = (
        ("worse", PALETTE[1], "worse (roll back)", alpha_rollback),
        ("not_worse", PALETTE[2], "not worse (promote)", alpha_promote),
    )
    for column, color, label, alpha in tests:
        if alpha is None:
            continue
        axes.plot(evidence["minute"], evidence[column], style(evidence), color=color, linewidth=1.8,
                  markersize=4.0, label=label)  # fmt: skip
        axes.axhline(-np.log10(alpha), color=color, linewidth=1.0, linestyle="--")
    axes.set_ylabel("evidence, log10 of the e-value")
    axes.set_title(f"Evidence about the treatment's errors\ndecides at the dashed line; {ALWAYS}",
                   loc="left", fontsize=10)  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    time_axis(axes, to_its_end(evidence)["minute"])
    return figure


def error_rates(rates: pd.DataFrame, difference: pd.DataFrame, *, window_minutes: int = 10) -> Figure:
    """Rolling error rates of both roles, and below them the interval for their difference.

    Args:
        rates: from `analytics.report.error_rates`.
        difference: from `analytics.report.canary_difference`.
        window_minutes: the window of the rates.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for role, color in (("control", CONTROL), ("treatment", PALETTE[1])):
        label = role if rates[role].notna().any() else f"{role}: no requests"
        above.plot(rates["minute"], rates[role], style(rates), color=color, linewidth=1.6, markersize=4.0,
                   label=label)  # fmt: skip
    above.set_ylabel("error rate, % of requests")
    above.set_title(f"Error rates, rolling over {window_minutes} minutes (a description, not a test)",
                    loc="left", fontsize=10)  # fmt: skip
    above.legend(frameon=False, fontsize=8)
    below.axhline(0.0, color=CONTROL, linewidth=1.0)
    if difference.empty:
        say(below, "too little was counted for an interval", 0.0)
    else:
        draw_band(below, difference["minute"], difference, step="post")
    below.set_ylabel("treatment − control, points")
    below.set_title(f"Interval for the difference of first requests: {ALWAYS}", loc="left", fontsize=10)
    for axes in (above, below):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        _tidy(axes)
    time_axis(below, rates["minute"])
    return figure


def distribution(
    distribution: pd.DataFrame,
    *,
    source: str = "latency",
    control: str | None = None,
    variants: Sequence[str] = (),
) -> Figure:
    """The distribution of latencies by variant, as the share of requests within a time.

    Args:
        distribution: from `analytics.report.distribution`.
        source: what it is of, for the label.
        control: the variant that is drawn in grey.
        variants: those that are to be named even where nothing was measured.
    """
    name = source.replace("_", " ")
    figure, axes = _figure()
    axes.set_title(f"Distribution of {name} (a description, not a test)", loc="left", fontsize=10)
    if distribution.empty:
        return without_data(figure, axes)
    values, unit = in_readable_unit(distribution["seconds"].to_numpy(np.float64))
    colors = iter(PALETTE)
    for variant in sorted({*distribution["variant_key"], *variants}):
        color = CONTROL if variant == control else next(colors)
        of_variant = (distribution["variant_key"] == variant).to_numpy()
        _draw_distribution(
            axes, values[of_variant], distribution["level"][of_variant], variant, color, values.max()
        )
    duration_axis(axes, values)
    axes.set_xlabel(f"{name}, {unit} (values within 1 %)")
    axes.set_ylabel("requests within that time, %")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    for level in (0.5, 0.95):
        axes.axhline(level, color=FAINT, linewidth=0.8, zorder=0)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the path's suffix names: .png or .svg.

    The same figure makes the same file: no date and no random identifiers are in it.
    """
    with_date = {"Date": None} if path.suffix == ".svg" else None
    with rc_context({"svg.hashsalt": "headgate"}):
        figure.savefig(path, dpi=160, metadata=with_date)


def _figure(*, width: float = 7.2, height: float = 3.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _draw_distribution(
    axes: Axes, values: np.ndarray, levels: pd.Series, variant: str, color: str, largest: float
) -> None:
    """Steps from 0 at the smallest value to 1, which it keeps to the right edge."""
    if not len(values):
        axes.plot([], [], color=color, linewidth=1.6, label=f"{variant}: no values")
        return
    axes.plot([values[0], *values, largest], [0.0, *levels, 1.0], color=color, linewidth=1.6,
              drawstyle="steps-post", label=variant)  # fmt: skip


def _draw_forest(axes: Axes, rows: pd.DataFrame, unit: str) -> None:
    _tidy(axes)
    axes.axvline(0.0, color=CONTROL, linewidth=1.0)
    for place, row in rows.iterrows():
        _draw_interval(axes, float(str(place)), row)
    axes.set_yticks(range(len(rows)), [_label(row) for _, row in rows.iterrows()])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    if not rows["point"].notna().any():
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        return
    if (rows["statistic"] == "relative_difference").all():
        axes.set_xlabel("difference, % of the control's mean")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        own_unit = unit or "in the metric's unit"
        axes.set_xlabel(f"difference, {own_unit}")


def _draw_interval(axes: Axes, place: float, row: pd.Series) -> None:
    point, lower, upper = (float(str(row[name])) for name in ("point", "lower", "upper"))
    if np.isnan(point):
        say(axes, fill(str(row["insufficient"]), _SENTENCE_WIDTH), place)
        return
    color = PALETTE[0] if row["clear"] else CONTROL
    style = "-" if row["always_valid"] else ":"
    axes.plot([lower, upper], [place, place], style, color=color, linewidth=2.0)
    axes.plot([point], [place], "o", color=color, markersize=_POINT_SIZE)


def _fit_to_most(axes: Axes, course: pd.DataFrame) -> None:
    """Leave the first, very wide intervals cut off, so that the later ones can be read."""
    limits = course[["lower", "upper"]].to_numpy(np.float64)
    if np.isfinite(limits).any():
        low, high = np.nanquantile(limits[:, 0], 0.1), np.nanquantile(limits[:, 1], 0.9)
        bottom, top = min(1.3 * low, -0.1 * high), max(1.3 * high, -0.1 * low)
        if bottom < top:
            axes.set_ylim(bottom, top)


def _draw_share(axes: Axes, evidence: pd.DataFrame) -> None:
    shares = axes.twinx()
    until = to_its_end(evidence)
    shares.fill_between(until["minute"], until["share"], color=FAINT, alpha=0.6, step="post")
    shares.set_ylim(0.0, 1.0)
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    shares.set_ylabel("treatment's share of traffic", color=CONTROL)
    shares.spines[["top", "left"]].set_visible(False)
    shares.tick_params(labelsize=8)
    axes.set_zorder(shares.get_zorder() + 1)
    axes.patch.set_visible(False)


def _label(row: pd.Series) -> str:
    parts = [str(row["metric"]), str(row["variant"])]
    if row["segment"]:
        parts.insert(1, str(row["segment"]))
    return " · ".join(parts) + (" *" if row["exploratory"] else "")


def _when(rows: pd.DataFrame) -> str:
    """Whether the intervals in these rows may be peeked at, for the title."""
    valid = rows["always_valid"].astype(bool)
    if valid.all():
        sentence = f"intervals {ALWAYS}"
    elif valid.any():
        sentence = f"solid intervals {ALWAYS}; dotted ones are {ONCE}"
    else:
        sentence = f"intervals are {ONCE}"
    explored = "exploratory" in rows and bool(rows["exploratory"].any())
    return sentence + ("; * is exploratory" if explored else "")
