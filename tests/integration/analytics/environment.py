"""The engine's own virtual environment: made when first needed, exactly as locked, kept below `.headgate`."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.embedded.file_lock import locked

HERE = Path(__file__).parent
HOME = Path(".headgate/oracle")
LOCK = HERE / "requirements.txt"
SKIP = "HEADGATE_SKIP_ORACLE"
_COMPLETE = ".complete"
_INSTALL = ["install", "--disable-pip-version-check", "--quiet", "--no-compile"]
_AS_LOCKED = ["--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)]


class NoEngine(Exception):
    """The independent engine could not be had."""


def answers(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the engine says to each case."""
    python = _environment() / "bin" / "python"
    command = [str(python), str(HERE / "engine.py")]
    ended = subprocess.run(  # noqa: S603 - our own script
        command, input=json.dumps(cases), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise NoEngine(f"the engine ended with {ended.returncode}: {ended.stderr[-2000:]}")
    told: list[dict[str, Any]] = json.loads(ended.stdout)
    return told


def _environment() -> Path:
    HOME.mkdir(parents=True, exist_ok=True)
    place = HOME.resolve() / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    with locked(HOME / "lock"):
        if not (place / _COMPLETE).exists():
            python = str(place / "bin" / "python")
            _run([_python(), "-m", "venv", "--without-pip", "--clear", str(place)])
            _run([sys.executable, "-m", "pip", "--python", python, *_INSTALL, *_AS_LOCKED])
            (place / _COMPLETE).touch()
    return place


def _python() -> str:
    if platform.python_version().startswith("3.11."):
        return sys.executable
    found = shutil.which("python3.11")
    if found is None:
        raise NoEngine(f"the engine needs Python 3.11, which is not here; install it or set {SKIP}=1")
    return found


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if ended.returncode:
        raise NoEngine(
            f"`{' '.join(command)}` ended with {ended.returncode}: {ended.stderr[-2000:]}\n"
            f"Without a package index set {SKIP}=1, and these tests are left out."
        )
