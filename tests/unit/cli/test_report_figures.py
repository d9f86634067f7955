"""``headgate report --figures`` draws what there is something to see of, and names the rest."""

from pathlib import Path

import pandas as pd
import pytest

from services.cli import report
from tests.unit.analytics.test_report import rows

MOMENT = pd.Timestamp("2026-11-16 10:00", tz="UTC")
MISSING: dict[str, object] = {
    "metric": "rating", "point": None, "lower": None, "upper": None, "insufficient": "too few units",
}  # fmt: skip


def frames(*changes: dict[str, object]) -> report.Frames:
    results = rows(*changes)
    return {
        "experiments": pd.DataFrame(
            [{"key": "t", "kind": "ab_test", "route_key": "chat", "status": "running", "conclusion": None,
              "phase": 1, "control": "old", "definition": "{}"}]
        ),
        "experiment_variants": pd.DataFrame({"variant_key": ["old", "new"]}),
        "variant_totals": pd.DataFrame(),
        "data_quality": pd.DataFrame({"kind": [], "n": [], "fraction": []}),
        "decision_log": pd.DataFrame(),
        "experiment_results": results,
        "experiment_results_history": results.assign(recorded_at=MOMENT, occasion="hour"),
        "canary_health_by_minute": pd.DataFrame(),
        "sketches": pd.DataFrame(
            [{"variant_key": "old", "segment": "", "source": "latency", "cell": 3, "count": 5}]
        ),
    }  # fmt: skip


def write(by_name: report.Frames, out: Path) -> tuple[str, set[str]]:
    said = report.write(by_name, out, formats=frozenset(), figures=True)
    return said, {path.stem for path in out.glob("*.png")}


def test_a_course_without_a_point_is_named_and_not_drawn(tmp_path: Path) -> None:
    said, drawn = write(frames({}, MISSING), tmp_path)
    assert drawn == {"differences", "course_cost_new", "latency"}
    assert "not drawn, nothing recorded yet: course_rating_new" in said
    assert "6 files in" in said


def test_without_any_interval_there_is_no_figure_of_differences(tmp_path: Path) -> None:
    said, drawn = write(frames(MISSING), tmp_path)
    assert drawn == {"latency"}
    assert "not drawn, nothing recorded yet: differences, course_rating_new" in said


def test_a_variant_without_latencies_is_in_the_figure_all_the_same() -> None:
    figure = report.draw(frames({}))["latency"]
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["new: no values", "old"]


def test_what_has_no_relative_difference_is_shown_in_its_unit(tmp_path: Path) -> None:
    p95: dict[str, object] = {
        "metric": "latency_p95", "statistic": "absolute_difference", "point": 0.4, "lower": 0.2, "upper": 0.6,
    }  # fmt: skip
    said, drawn = write(frames({}, p95), tmp_path)
    assert "  latency_p95, new: +0.4 [+0.2, +0.6] seconds clear" in said
    assert {"differences", "course_latency_p95_new"} <= drawn


@pytest.mark.parametrize("changes", [[], [{}]])
def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path, changes: list[dict[str, object]]) -> None:
    by_name = {**frames({})} if changes else {**frames({}), "experiment_results": rows({}).head(0)}
    assert "not drawn" not in write(by_name, tmp_path)[0]
