"""The commands beside the api they call, and their help."""

import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from services.api.app import create_app
from services.api.settings import ApiSettings
from services.cli.control.kinds import RESOURCES
from services.cli.control.logs import LOGS
from services.cli.control.verbs import VERBS
from services.cli.files.planning import REPLACEABLE
from services.cli.main import main
from services.domain.assignment import ANALYSIS_BUCKETS

ENGINE: Any = None
PATHS: dict[str, Any] = create_app(ApiSettings(admin_key=SecretStr("key")), ENGINE).openapi()["paths"]
NOT_VERBS = {"dry-run", "health"}
"""`apply --dry-run` and `health` are commands of their own."""


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    """Every command there is, with the groups it is in."""
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found.append((*above, name))
        if isinstance(command, click.Group):
            found += commands(command, *above, name)
    return found


@pytest.mark.parametrize("path", commands(main), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {' '.join(path)}")
    assert "\n\n  " in result.stdout.partition("\nOptions:")[0], "a sentence says what it is for"


def test_the_help_has_sections_with_every_command() -> None:
    said = CliRunner().invoke(main, ["--help"]).stdout
    for section in ("Services:", "Definitions:", "Experiments:", "Traffic:", "Analysis:"):
        assert f"\n{section}\n" in said
    assert all(f"\n  {name} " in said for name in main.commands)


def test_every_verb_of_the_api_is_a_command() -> None:
    verbs = {
        path.removeprefix("/v1/experiments/").removeprefix("{key}/")
        for path, methods in PATHS.items()
        if path.startswith("/v1/experiments/") and "post" in methods
    }
    assert verbs - NOT_VERBS <= {verb.name for verb in VERBS}


def test_every_resource_of_the_api_can_be_listed() -> None:
    listed = {
        path.removeprefix("/v1/")
        for path, methods in PATHS.items()
        if path.startswith("/v1/") and path.count("/") == 2 and "get" in methods
    }
    assert listed - {"freeze", "freezes", "usage"} <= {*RESOURCES, *(log.name for log in LOGS)}


def parameters(path: str) -> set[str]:
    return {one["name"] for one in PATHS[path]["get"]["parameters"] if one["in"] == "query"}


@pytest.mark.parametrize("kind", RESOURCES.values(), ids=lambda kind: kind.name)
def test_a_filter_is_one_that_the_api_knows(kind: Any) -> None:
    assert {one.parameter for one in kind.filters} <= parameters(f"/v1/{kind.plural}")


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_filter_of_a_log_is_one_that_the_api_knows(log: Any) -> None:
    path = "/v1/" + "/".join("{key}" if part == "{}" else part for part in log.path)
    narrowing = set() if "{key}" in path else {log.argument}
    assert {one.parameter for one in log.filters} | narrowing <= parameters(path)


def test_what_files_replace_is_what_the_api_replaces() -> None:
    replaced = {
        path.removeprefix("/v1/").removesuffix("s/{key}")
        for path, methods in PATHS.items()
        if path.endswith("s/{key}") and "put" in methods
    }
    assert replaced == REPLACEABLE


def test_what_can_be_deleted_is_what_the_api_deletes() -> None:
    deleted = {path for path, methods in PATHS.items() if path.endswith("/{key}") and "delete" in methods}
    assert deleted == {f"/v1/{kind.plural}/{{key}}" for kind in RESOURCES.values() if kind.deletable}


@pytest.mark.parametrize("said", ["experiment", "experiments", "variant", "variants"])
def test_kinds_go_by_singular_and_plural(said: str) -> None:
    for verb in ("get", "describe"):
        assert CliRunner().invoke(main, [verb, said, "--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["get", f"{said}x", "--help"]).exit_code == 2


@pytest.mark.parametrize(
    "call",
    [
        ["gateway", "--processes", "0"],
        ["migrate", "--outcome-partitions", "0"],
        ["migrate", "--outcome-partitions", f"{ANALYSIS_BUCKETS + 1}"],
    ],
    ids=" ".join,
)
def test_numbers_that_no_installation_can_have_are_refused(call: list[str]) -> None:
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 2
    assert "is not in the range" in result.stderr


def test_the_command_starts_without_what_only_some_commands_need() -> None:
    unwanted = ("aiohttp", "rich", "yaml", "fastapi", "pydantic", "sqlalchemy", "numpy")
    found = f"import sys, services.cli.main; print([m for m in {unwanted} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
