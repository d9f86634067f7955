"""``headgate report`` and ``headgate contract``: files, figures and a summary out of a filled database."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from analytics.report import recomputed
from services.cli import frames
from services.cli.main import main
from services.storage.contract import Rows
from tests.integration.storage import filled


def headgate(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"HEADGATE_DATABASE_URL": url})


# The commands bring an event loop of their own, so these tests are not coroutines.


def test_experiments_are_listed(filled_url: str) -> None:
    found = headgate(filled_url, "report", "--list")
    assert found.exit_code == 0, found.output
    assert [line.split() for line in found.output.splitlines()] == [
        [filled.KEY, "ab_test", "stopped", "on", "support"],
        [filled.CANARY_KEY, "canary", "stopped", "on", "support"],
    ]


def test_a_test_is_exported_in_both_formats_alike(filled_url: str, tmp_path: Path) -> None:
    found = headgate(filled_url, "report", filled.KEY, "--out", str(tmp_path), "--exposures", "--segments")
    assert found.exit_code == 0, found.output
    assert "concise-answers: ab_test on support, stopped, promoted, phase 1" in found.output
    assert "  cost, concise: -13.8% [-17.0%, -10.5%] clear" in found.output
    assert "promote: cheaper, and users like it better" in found.output

    parquet = {path.stem: pd.read_parquet(path) for path in tmp_path.glob("*.parquet")}
    csv = {
        path.stem: pd.read_csv(path, keep_default_na=False, low_memory=False)
        for path in tmp_path.glob("*.csv")
    }
    assert set(parquet) == set(csv) == {
        "data_quality", "decision_log", "canary_health_by_minute", "experiment_phases", "experiment_results",
        "experiment_results_history", "experiment_variants", "experiments", "exposure_log", "metric_buckets",
        "sketches", "variant_totals",
    }  # fmt: skip
    for name, frame in parquet.items():
        assert list(frame.columns) == list(csv[name].columns)
        assert len(frame) == len(csv[name])
    assert set(parquet["metric_buckets"]["segment"]) == {"", "tier=free", "tier=pro"}
    assert len(parquet["exposure_log"]) == parquet["variant_totals"]["units"].sum()
    assert json.loads(parquet["experiments"]["definition"].iloc[0])["goals"] == ["cost", "satisfaction_rate"]


def test_the_exported_buckets_give_the_exported_results(filled_url: str, tmp_path: Path) -> None:
    found = headgate(filled_url, "report", filled.KEY, "--out", str(tmp_path), "--format", "parquet")
    assert found.exit_code == 0, found.output
    assert not list(tmp_path.glob("*.csv"))
    buckets = pd.read_parquet(tmp_path / "metric_buckets.parquet")
    results = pd.read_parquet(tmp_path / "experiment_results.parquet")
    results = results[
        (results["segment"] == "")
        & (results["method"] == "sequential")
        & (results["statistic"] == "relative_difference")
    ].set_index("metric")
    for metric, column in (("cost", "cost"), ("satisfaction_rate", "yes:feedback:satisfaction")):
        by_hand = recomputed(buckets, column, treatment="concise", control="current")["sequential"]
        stored = results.loc[metric]
        assert (by_hand.point, by_hand.lower, by_hand.upper) == pytest.approx(
            (stored["point"], stored["lower"], stored["upper"]), rel=1e-12
        )


def test_figures_of_a_test_and_of_a_canary(filled_url: str, tmp_path: Path) -> None:
    expected = {
        filled.KEY: {"differences", "latency", "first_token", "course_cost_concise"},
        filled.CANARY_KEY: {"evidence", "error_rates"},
    }
    for key, names in expected.items():
        out = tmp_path / key
        found = headgate(filled_url, "report", key, "--out", str(out), "--format", "csv", "--figures")
        assert found.exit_code == 0, found.output
        assert names <= {path.stem for path in out.glob("*.png")}
        assert {path.stem for path in out.glob("*.png")} == {path.stem for path in out.glob("*.svg")}


def test_an_unknown_experiment_is_a_sentence(filled_url: str, tmp_path: Path) -> None:
    found = headgate(filled_url, "report", "nothing", "--out", str(tmp_path))
    assert found.exit_code == 1
    assert "there is no experiment 'nothing'; `headgate report --list` names them" in found.output


@pytest.mark.parametrize("library", ["pandas", "pyarrow", "matplotlib"])
def test_a_missing_library_says_what_to_install(library: str) -> None:
    without = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from services.cli.main import main; main(['report', '--list'])"
    )
    command = [sys.executable, "-c", without]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    assert found.returncode == 1
    assert found.stderr == f"Error: {library} is not installed: pip install 'headgate[analysis]'\n"


def test_the_contract_is_printed(filled_url: str) -> None:
    found = headgate(filled_url, "contract")
    assert found.exit_code == 0, found.output
    assert found.output.startswith("# Tables for analysts\n")


def test_frames_have_their_types_without_rows() -> None:
    kinds = (("n", "bigint"), ("at", "timestamp with time zone"), ("share", "double precision"))
    empty = frames.frame_of(Rows((*kinds, ("ok", "boolean"), ("key", "text")), []))
    assert [str(dtype) for dtype in empty.dtypes] == [
        "Int64", "datetime64[us, UTC]", "float64", "boolean", "str",
    ]  # fmt: skip
