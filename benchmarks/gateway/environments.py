"""An environment of its own for each contender: made when first needed, kept below ``.headgate/bench``."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.embedded.file_lock import locked
from services.embedded.progress import Say, say_to_stderr

HOME = Path(".headgate/bench")
KEPT = 4
"""Builds of Headgate itself that are kept: somebody may be running the one before."""
_COMPLETE = ".complete"
CHECKOUT = Path(__file__).resolve().parents[2]
_PACKAGED = ("services", "analytics", "migrations", ".ci")


class CannotInstall(Exception):
    """A contender's packages could not be had."""


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


def compiled_packages(say: Say) -> Path:
    """Return a directory with Headgate's own packages as they ship: out of a wheel, compiled.

    It goes in front of Python's path. It is made anew whenever a source has changed; the last few are kept.
    """
    name = f"headgate {_digest_of_sources()}"
    place = _environment(name, say, lambda place: [_wheel(place)], {"HEADGATE_COMPILE": "always"})
    others = sorted(set(place.parent.glob("headgate-*")) - {place}, key=lambda one: one.stat().st_mtime)
    for old in others[: -KEPT + 1]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def _digest_of_sources() -> str:
    digest = hashlib.sha256(sys.version.encode())
    sources = [path for top in _PACKAGED for path in (CHECKOUT / top).rglob("*") if path.is_file()]
    for path in [CHECKOUT / "pyproject.toml", *sorted(sources)]:
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _wheel(place: Path) -> list[str]:
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    return [*pip, "--no-deps", "--no-build-isolation", "--target", str(place), str(CHECKOUT)]


def _venv(place: Path) -> list[str]:
    return [sys.executable, "-m", "venv", "--clear", str(place)]


def _pip(place: Path, requirement: str) -> list[str]:
    options = ["--disable-pip-version-check", "--quiet", "--only-binary", ":all:"]
    return [str(place / "bin" / "python"), "-m", "pip", "install", *options, requirement]


def _environment(
    requirement: str,
    say: Say,
    steps: Callable[[Path], Sequence[Sequence[str]]],
    variables: Mapping[str, str] | None = None,
) -> Path:
    HOME.mkdir(parents=True, exist_ok=True)
    place = HOME.resolve() / re.sub(r"[^A-Za-z0-9.]+", "-", requirement).strip("-")
    with locked(HOME / "lock"):
        if not (place / _COMPLETE).exists():
            say(f"{requirement}: installing into {place}, once …")
            place.mkdir(exist_ok=True)
            for step in steps(place):
                _run(requirement, step, variables or {})
            (place / _COMPLETE).touch()
            say(f"{requirement}: installed")
    return place


def _run(requirement: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
    # Standard output belongs to the results.
    ended = subprocess.run(  # noqa: S603 - our own commands
        command, stdout=sys.stderr, check=False, env={**os.environ, **variables}
    )
    if ended.returncode:
        raise CannotInstall(
            f"{requirement} could not be installed: `{' '.join(command)}` ended with {ended.returncode}; "
            "see its output above; it needs the package index, or for Headgate itself a C compiler"
        )


if __name__ == "__main__":
    print(compiled_packages(say_to_stderr))
