"""``headgate report --figures`` draws what there is something to see of, and names the rest."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analytics.report import canary_evidence
from analytics.results import Insufficient
from services.cli import report
from services.domain.errors import NotFound
from tests.unit.analytics.test_report import canary, rows

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
        "experiment_phases": pd.DataFrame({"phase": [1]}),
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


def test_nothing_is_called_clear_where_units_did_not_arrive_as_assigned() -> None:
    said = report.summary(frames({}))
    assert "data: no harm noticed" in said
    assert "  cost, new: -10.0% [-20.0%, -5.0%] clear" in said
    ratio: dict[str, object] = {
        "metric": "",
        "statistic": "sample_ratio",
        "comparison_to": "",
        "p_value": 1e-5,
    }
    said = report.summary(frames({}, ratio))
    assert any(line.startswith("data: the units did not arrive in the proportions") for line in said)
    assert "  cost, new: -10.0% [-20.0%, -5.0%]" in said


def test_a_phase_is_chosen_for_what_is_shown_but_all_are_written() -> None:
    both = dict(frames({"phase": 1}, {"phase": 2, "point": 0.5, "lower": 0.4, "upper": 0.6}))
    totals = {"role": "control", "requests": 9, "error_rate": 0.0, "mean_latency_seconds": 1.0}
    both["variant_totals"] = pd.DataFrame(
        [{**totals, "phase": phase, "variant_key": "old", "units": 10 * phase} for phase in (1, 2)]
    )
    both["experiment_phases"] = pd.DataFrame({"phase": [1, 2]})
    newest, first = report.summary(both), report.summary(report.of_phase(both, 1))
    assert "of phase 2 of 2; --phase shows another" in newest
    assert "  cost, new: +50.0% [+40.0%, +60.0%] clear" in newest
    assert "of phase 1 of 2; --phase shows another" in first
    assert "  cost, new: -10.0% [-20.0%, -5.0%] clear" in first
    with pytest.raises(NotFound, match="there is no phase 3 of this experiment; its phases: 1, 2"):
        report.of_phase(both, 3)


CANARY = {
    "treatment": "new",
    "plan": {"planned_duration_minutes": 90, "watch_minutes": 20},
    "policy": {
        "type": "sequential", "alpha_rollback": 0.02, "alpha_promote": 0.1, "margin_promote": 0.03,
        "guardrails": [{"metric": "latency"}, {"metric": "error_rate", "margin": 0.01}],
    },
}  # fmt: skip


def lines_at(figure: Figure) -> list[float]:
    """The heights of the dashed lines: 1/α, as powers of ten."""
    dashed = (line for line in figure.axes[0].get_lines() if line.get_linestyle() == "--")
    return [float(np.asarray(line.get_ydata())[0]) for line in dashed]


def of_canary(definition: dict[str, object], stage: str = "ramp") -> dict[str, Figure | None]:
    experiment = frames({})["experiments"].assign(
        kind="canary", definition=json.dumps(definition), stage=stage, phase=2 if stage == "watch" else 1
    )
    phase = int(experiment["phase"].iloc[0])
    started_at = pd.Timestamp(29_899_950 * 60, unit="s", tz="UTC")
    return report.draw(
        {
            **frames({}),
            "experiments": experiment,
            "experiment_phases": pd.DataFrame([{"phase": phase, "started_at": started_at}]),
            "canary_health_by_minute": canary().assign(phase=phase),
        }
    )


@pytest.mark.parametrize(("stage", "planned"), [("ramp", 90), ("watch", 20)])
def test_the_evidence_is_drawn_as_it_decided(
    stage: str, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def evidence(frame: pd.DataFrame, **how: float) -> pd.DataFrame | Insufficient:
        asked.update(how)
        return canary_evidence(frame, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(report.report, "canary_evidence", evidence)
    drawn = of_canary(CANARY, stage)["evidence"]
    assert drawn is not None
    assert asked == {
        "planned_minutes": planned, "margin_rollback": 0.01, "margin_promote": 0.03, "first_tick": 29_899_950,
    }  # fmt: skip
    # Two guardrails share the budget of the rollback; two tests that of the promotion; a watch has none.
    budgets = [0.01, 0.05] if stage == "ramp" else [0.01]
    assert lines_at(drawn) == pytest.approx([-math.log10(alpha) for alpha in budgets])


@pytest.mark.parametrize(
    "policy", [{"type": "threshold"}, {"type": "sequential", "guardrails": [{"metric": "latency"}]}]
)
def test_evidence_that_decides_nothing_is_not_drawn(policy: dict[str, object]) -> None:
    figures = of_canary({**CANARY, "policy": policy}, "watch")
    assert "evidence" not in figures
    assert figures["error_rates"] is not None


@pytest.mark.parametrize("changes", [[], [{}]])
def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path, changes: list[dict[str, object]]) -> None:
    by_name = {**frames({})} if changes else {**frames({}), "experiment_results": rows({}).head(0)}
    assert "not drawn" not in write(by_name, tmp_path)[0]
