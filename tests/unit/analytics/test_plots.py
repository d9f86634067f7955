"""Figures say what they show, in which unit, and when they may be looked at."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analytics import plots, report
from analytics.marks import CONTROL
from analytics.results import Insufficient
from tests.unit.analytics.test_report import ROW, canary, rows

MINUTES_A_DAY = 24.0 * 60.0
MOMENTS = pd.date_range("2026-11-16", periods=30, freq="h", tz="UTC")


def words(figure: Figure) -> str:
    texts = []
    for axes in figure.axes:
        texts += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        texts += [label.get_text() for label in (*axes.get_yticklabels(), *axes.texts)]
        legend = axes.get_legend()
        texts += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(texts)


def minutes_shown(axes: Axes) -> float:
    first, last = axes.get_xlim()
    return (last - first) * MINUTES_A_DAY


def course() -> pd.DataFrame:
    width = 1.0 / np.sqrt(np.arange(1, 31))
    return pd.DataFrame(
        {
            "recorded_at": MOMENTS,
            "point": 0.1,
            "lower": 0.1 - width,
            "upper": 0.1 + width,
            "always_valid": True,
            "occasion": ["hour"] * 29 + ["decision"],
        }
    )


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ([True], "intervals may be looked at at any time"),
        ([False], "intervals are to be looked at once, at the planned end"),
        ([True, False], "solid intervals may be looked at at any time; dotted ones are to be looked at once"),
    ],
)
def test_a_forest_says_which_intervals_may_be_peeked_at(methods: list[bool], sentence: str) -> None:
    changes = [{"always_valid": valid, "metric": f"m{place}"} for place, valid in enumerate(methods)]
    figure = plots.forest(report.results(rows(*changes)))
    assert sentence in words(figure)
    assert "% of the control's mean" in words(figure)
    styles = {line.get_linestyle() for line in figure.axes[0].lines[1::2]}
    assert styles == {"-" if valid else ":" for valid in methods}


def test_a_forest_marks_what_is_exploratory_and_what_is_missing() -> None:
    missing = {"point": None, "lower": None, "upper": None, "insufficient": "too few units", "metric": "x"}
    segment = {"segment": "tier=pro", "exploratory": True}
    said = words(plots.forest(report.results(rows(missing, segment), segment=None)))
    assert "too few units" in said
    assert "tier=pro · new *" in said
    assert "* is exploratory" in said


def test_an_absolute_forest_has_the_metrics_unit() -> None:
    frame = report.results(rows({"statistic": "absolute_difference"}), statistic="absolute_difference")
    assert "in the metric's unit" in words(plots.forest(frame))


def test_differences_in_a_unit_have_an_axis_of_their_own() -> None:
    p95 = {"metric": "latency_p95", "statistic": "absolute_difference", "point": 0.4, "upper": 0.6}
    frame = rows({}, p95)
    in_units = {"seconds": report.absolute_only(frame, method="sequential")}
    relative, absolute = plots.forest(report.results(frame), in_units).axes
    assert relative.get_xlabel() == "difference, % of the control's mean"
    assert absolute.get_xlabel() == "difference, seconds"
    assert [label.get_text() for label in absolute.get_yticklabels()] == ["latency_p95 · new"]
    assert [list(np.asarray(line.get_xdata())) for line in absolute.lines[2:]] == [[0.4]]


def test_differences_in_a_unit_may_be_all_there_is() -> None:
    p95 = rows({"metric": "latency_p95", "statistic": "absolute_difference"})
    (axes,) = plots.forest(report.results(p95), {"seconds": report.absolute_only(p95)}).axes
    assert axes.get_xlabel() == "difference, seconds"


def test_a_forest_without_any_interval_has_reasons_and_no_axis() -> None:
    missing: dict[str, object] = {
        "point": None, "lower": None, "upper": None, "insufficient": "too few units",
    }  # fmt: skip
    figure = plots.forest(report.results(rows(missing)))
    assert "too few units" in words(figure)
    assert not figure.axes[0].xaxis.get_visible()


def test_a_long_reason_stays_inside_the_figure() -> None:
    reason = "treatment: " + "no two samples differ, so nothing is known of how much they vary, " * 2
    missing = {"point": None, "lower": None, "upper": None, "insufficient": reason}
    figure = plots.forest(report.results(rows({}, {**missing, "metric": "content_filter_rate"})))
    figure.draw_without_rendering()
    (text,) = figure.axes[0].texts
    assert text.get_window_extent().x1 <= figure.bbox.x1


def test_a_course_shows_decisions_and_leaves_the_first_intervals_cut_off() -> None:
    figure = plots.interval_course(course(), title="cost, new")
    assert "a decision was made" in words(figure)
    assert "may be looked at at any time" in words(figure)
    low, high = figure.axes[0].get_ylim()
    assert -0.9 < low < 0.0
    assert 0.2 < high < 1.1


def test_a_course_leaves_out_moments_without_a_number() -> None:
    begun = course().head(4)
    begun.loc[:2, ["point", "lower", "upper"]] = np.nan
    (axes,) = plots.interval_course(begun, title="cost, new").axes
    (drawn,) = (line for line in axes.lines if line.get_marker() == "o" and line.get_linestyle() == "-")
    assert np.asarray(drawn.get_ydata()).tolist() == [0.1]
    assert minutes_shown(axes) == pytest.approx(6.0)


def test_a_course_without_a_number_says_so() -> None:
    empty = course().assign(point=np.nan, lower=np.nan, upper=np.nan)
    figure = plots.interval_course(empty, title="cost, new")
    assert "nothing recorded yet" in words(figure)
    assert not figure.axes[0].axison


def test_a_canary_of_one_minute_is_points_on_an_axis_of_minutes() -> None:
    frame = canary()
    compared = frame[frame["treatment_share_bp"].between(1, 9_999)]
    frame = compared[compared["minute"] == compared["minute"].min()]
    evidence = report.canary_evidence(frame, planned_minutes=60)
    assert not isinstance(evidence, Insufficient)
    drawn = plots.canary_evidence(evidence, alpha_rollback=0.01, alpha_promote=0.025)
    rates = plots.error_rates(report.error_rates(frame), report.canary_difference(frame))
    for figure in (drawn, rates):
        assert 5.0 < minutes_shown(figure.axes[-1]) < 10.0
        assert "o" in {line.get_marker() for line in figure.axes[0].lines}
    # The share is drawn as wide as the minute it stands for.
    (share,) = drawn.axes[1].collections
    assert share.get_datalim(drawn.axes[1].transData).width * MINUTES_A_DAY == pytest.approx(1.0)


def test_rates_of_a_role_without_requests_say_so() -> None:
    frame = canary()
    figure = plots.error_rates(
        report.error_rates(frame[frame["role"] == "control"]), report.canary_difference(frame.head(0))
    )
    assert "treatment: no requests" in words(figure)
    assert "too little was counted for an interval" in words(figure)


def test_the_evidence_of_a_canary_has_its_thresholds() -> None:
    evidence = report.canary_evidence(canary(), planned_minutes=60)
    assert not isinstance(evidence, Insufficient)
    figure = plots.canary_evidence(evidence, alpha_rollback=0.01, alpha_promote=0.025)
    dashed = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert dashed == pytest.approx([2.0, -np.log10(0.025)])
    assert "log10 of the e-value" in words(figure)
    assert "share of traffic" in words(figure)


def test_rates_are_described_and_differences_tested() -> None:
    frame = canary()
    figure = plots.error_rates(report.error_rates(frame), report.canary_difference(frame, points=5))
    assert "a description, not a test" in words(figure)
    assert "may be looked at at any time" in words(figure)


def test_a_distribution_names_its_variants() -> None:
    frame = pd.DataFrame(
        {"variant_key": ["old", "old", "new"], "seconds": [1.0, 2.0, 1.5], "level": [0.5, 1.0, 1.0]}
    )
    figure = plots.distribution(frame, source="first_token", control="old")
    assert "first token, ms" in words(figure)
    colors = {line.get_label(): line.get_color() for line in figure.axes[0].lines if line.get_label() != ""}
    assert colors["old"] == CONTROL
    assert colors["new"] != CONTROL


def test_a_distribution_names_a_variant_without_values() -> None:
    frame = pd.DataFrame({"variant_key": ["old"], "seconds": [0.02], "level": [1.0]})
    assert "new: no values" in words(plots.distribution(frame, control="old", variants=["old", "new"]))
    assert "nothing recorded yet" in words(plots.distribution(frame.head(0)))


@pytest.mark.parametrize(
    ("seconds", "unit", "scale"),
    [
        ([0.001, 0.002, 0.005], "latency, ms", "linear"),
        ([0.02, 0.3, 2.0], "latency, ms", "log"),
        ([0.5, 4.0, 30.0], "latency, seconds", "log"),
    ],
)
def test_a_distributions_ticks_are_plain_numbers(seconds: list[float], unit: str, scale: str) -> None:
    frame = pd.DataFrame({"variant_key": "old", "seconds": seconds, "level": [0.3, 0.6, 1.0]})
    figure = plots.distribution(frame)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert unit in words(figure)
    assert axes.get_xscale() == scale
    ticks = [label.get_text() for label in axes.get_xticklabels(which="both") if label.get_text()]
    assert ticks
    assert all(tick.replace(",", "").replace(".", "").isdecimal() for tick in ticks)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_figure_makes_the_same_file(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for path in paths:
        plots.save(plots.forest(report.results(pd.DataFrame([ROW]))), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 1_000
