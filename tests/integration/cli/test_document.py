"""The worked example of docs/cli.md, line by line."""

import re
import shlex
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Headgate

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`([a-z]+\.yaml)`:\s*$")


def steps() -> list[tuple[str, str]]:
    """The files to write and the commands to run, in order."""
    text = DOCUMENT.read_text()
    found: list[tuple[str, str]] = []
    for block in BLOCK.finditer(text):
        if block[1] == "yaml":
            named = FILE.search(text[: block.start()].rstrip())
            assert named, "each file is named before it is shown"
            found.append((named[1], block[2]))
        else:
            found += [("", line) for line in block[2].splitlines()]
    return found


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.usefixtures("routing")
async def test_the_worked_example_works(
    headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: dict[str, str] = {}
    for file, text in steps():
        if file:
            write(tmp_path / file, text)
            continue
        program, *arguments = shlex.split(text, comments=True)
        assert program == "headgate"
        result = await headgate(*arguments, exit_code=int("ends with 1" in text))
        assert "unchanged" not in text or " created" not in result.stdout
        said[" ".join(arguments[:2])] = result.stdout

    assert "+  key: openai-main" in said["diff -f"]
    assert said["keys create"].startswith("hg_")
    assert "stopped, promoted" in said["watch new-model-canary"]
    assert "we have seen enough" in said["get decisions"]
    assert "new-model 100 %" in said["get allocations"]
    assert said["apply -f"].splitlines()[-1] == "experiment/new-model-canary unchanged"
    assert "stable: new-model" in said["export route"]
