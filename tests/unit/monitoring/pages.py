"""What the monitoring pages tell their readers to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from services.cli.main import main
from tests.unit.monitoring.catalogue import DOCS

PAGES = sorted((*DOCS.glob("README.md"), *(DOCS / "runbooks").glob("*.md")))
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(headgate [^`]+)`")


def blocks(page: Path, language: str) -> Iterator[str]:
    """Return the page's blocks of code in a language."""
    return (block for found, block in _BLOCK.findall(page.read_text()) if found == language)


def statements(page: Path) -> list[str]:
    """Return the page's SQL, statement by statement."""
    return [one.strip() for block in blocks(page, "sql") for one in block.split(";") if one.strip()]


def commands(page: Path) -> list[list[str]]:
    """Return each use of our command line, as its words without ``headgate``."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    ours = [line.strip() for line in lines if line.strip().startswith("headgate ")]
    inline = [" ".join(found.split()) for found in _INLINE.findall(page.read_text())]
    return [shlex.split(line, comments=True)[1:] for line in (*ours, *inline)]


def problem_of(words: list[str]) -> str | None:
    """Say what is wrong with a use of our command line, if anything is."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        if found is None:
            return f"there is no {rest[0]!r}"
        command, rest = found, rest[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    unknown = [word for word in rest if word.startswith("--") and word not in known]
    return f"{command.name} takes no {unknown}" if unknown else None
