"""The command `headgate characteristics`."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from analytics.characteristics import AnyScenario, Claim, scenarios
from services.cli import characteristics as command
from services.cli.main import main

ONE = "errors: 1% to 10%, share 5%"


def run(*options: str) -> Result:
    return CliRunner().invoke(main, ["characteristics", "--quick", "--processes", "1", *options])


def test_a_table_of_what_is_claimed_and_what_holds() -> None:
    result = run("--only", ONE)
    assert result.exit_code == 0, result.output
    assert f"1/1  {ONE}" in result.stderr
    for said in ("rollback, never re-armed", "× limit ≤ 1.6", "yes", "3 of 3 claims hold"):
        assert said in result.stdout


def test_json_is_the_last_line_and_alone_on_stdout() -> None:
    result = run("--only", ONE.upper(), "--json", "--seed", "7")
    (line,) = result.stdout.splitlines()
    answer = json.loads(line)
    assert (answer["seed"], answer["quick"], answer["holds"]) == (7, True, True)
    rows = {row["policy"]: row for row in answer["characteristics"]}
    rollback = rows["rollback"]
    assert rollback["scenario"] == ONE
    assert rollback["alpha"] == 0.05
    assert rollback["false_rate"] is None
    assert rollback["n_runs"] > 100
    assert 1.0 < rollback["mean_requests"] / rollback["limit_requests"] < 2.0
    assert "windowed rule" in rows


def test_a_claim_that_fails_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """The windowed rule with a claim it cannot keep."""

    def boastful() -> list[AnyScenario]:
        (honest,) = [one for one in scenarios() if one.name == "errors: 0.5 h at 1/s, share 10%"]
        policies = [replace(policy, claim=Claim.FALSE_RATE) for policy in honest.policies]
        return [replace(honest, policies=tuple(policies))]

    monkeypatch.setattr(command, "scenarios", boastful)
    result = run()
    assert result.exit_code == 1
    assert "1 of 3 claims hold" in result.stdout
    assert "does not hold: windowed rule, errors: 0.5 h at 1/s, share 10%" in result.stdout


def test_a_name_that_no_scenario_has_is_refused() -> None:
    result = run("--only", "nothing of the kind")
    assert result.exit_code == 2
    assert "no scenario's name contains" in result.stderr


def test_other_commands_load_no_statistics() -> None:
    found = "import sys, services.cli.main; print([m for m in ('numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
