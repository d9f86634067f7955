"""An environment of its own for each peer: made when first needed, kept below ``.headgate/bench``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from services.embedded.file_lock import locked
from services.embedded.progress import Say

HOME = Path(".headgate/bench")
_COMPLETE = ".complete"


class CannotInstall(Exception):
    """A peer's packages could not be had."""


def python_environment(requirement: str, say: Say) -> Path:
    """Return a virtual environment that holds the pinned requirement."""
    return _environment(requirement, say, lambda place: [_venv(place), _pip(place, requirement)])


def node_environment(requirements: Sequence[str], say: Say) -> Path:
    """Return a directory in whose ``node_modules`` the pinned npm packages are."""
    first = requirements[0]
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise CannotInstall(f"{first} needs node and npm; install Node.js 20 or leave it out")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
    return _environment(
        first, say, lambda place: [[npm, "install", *options, "--prefix", str(place), *requirements]]
    )


def _venv(place: Path) -> list[str]:
    return [sys.executable, "-m", "venv", "--clear", str(place)]


def _pip(place: Path, requirement: str) -> list[str]:
    options = ["--disable-pip-version-check", "--quiet", "--only-binary", ":all:"]
    return [str(place / "bin" / "python"), "-m", "pip", "install", *options, requirement]


def _environment(requirement: str, say: Say, steps: Callable[[Path], Sequence[Sequence[str]]]) -> Path:
    HOME.mkdir(parents=True, exist_ok=True)
    place = HOME.resolve() / re.sub(r"[^A-Za-z0-9.]+", "-", requirement).strip("-")
    with locked(HOME / "lock"):
        if not (place / _COMPLETE).exists():
            say(f"{requirement}: installing into {place}, once …")
            place.mkdir(exist_ok=True)
            for step in steps(place):
                _run(requirement, step)
            (place / _COMPLETE).touch()
            say(f"{requirement}: installed")
    return place


def _run(requirement: str, command: Sequence[str]) -> None:
    # Standard output belongs to the results.
    ended = subprocess.run(command, stdout=sys.stderr, check=False)  # noqa: S603 - our own commands
    if ended.returncode:
        raise CannotInstall(
            f"{requirement} could not be installed: `{' '.join(command)}` ended with {ended.returncode}; "
            "see its output above, and try again when the package index answers"
        )
