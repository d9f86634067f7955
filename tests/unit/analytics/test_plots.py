"""Figures say what they show, in which unit, and when they may be looked at."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analytics import plots, report
from analytics.results import Insufficient
from tests.unit.analytics.test_report import ROW, canary, rows

MOMENTS = pd.date_range("2026-11-16", periods=30, freq="h", tz="UTC")


def words(figure: Figure) -> str:
    texts = []
    for axes in figure.axes:
        texts += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        texts += [label.get_text() for label in (*axes.get_yticklabels(), *axes.texts)]
        legend = axes.get_legend()
        texts += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(texts)


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


def test_a_course_shows_decisions_and_leaves_the_first_intervals_cut_off() -> None:
    figure = plots.interval_course(course(), title="cost, new")
    assert "a decision was made" in words(figure)
    assert "may be looked at at any time" in words(figure)
    low, high = figure.axes[0].get_ylim()
    assert -0.9 < low < 0.0
    assert 0.2 < high < 1.1


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
    assert "first token, seconds" in words(figure)
    colors = {line.get_label(): line.get_color() for line in figure.axes[0].lines if line.get_label() != ""}
    assert colors["old"] == plots.CONTROL
    assert colors["new"] != plots.CONTROL


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_figure_makes_the_same_file(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for path in paths:
        plots.save(plots.forest(report.results(pd.DataFrame([ROW]))), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 1_000
