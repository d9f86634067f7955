"""Secrets by reference."""

from __future__ import annotations

import os
from pathlib import Path

from services.gateway.secret_references import SecretResolver


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_environment() -> None:
    secrets = SecretResolver({"NAME": "value", "EMPTY": ""})
    assert secrets.resolve("env:NAME") == "value"
    assert secrets.resolve("env:EMPTY") is None
    assert secrets.resolve("env:OTHER") is None
    assert secrets.resolve("NAME") is None


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "secret"
    secrets = SecretResolver({}, clock)
    reference = f"file:{path}"
    assert secrets.resolve(reference) is None
    path.write_text("first\n")
    assert secrets.resolve(reference) is None, "looked a moment ago"
    clock.now = 2
    assert secrets.resolve(reference) == "first"
    path.write_text("second")
    os.utime(path, ns=(1, 1))
    clock.now = 4
    assert secrets.resolve(reference) == "second"
    path.unlink()
    clock.now = 6
    assert secrets.resolve(reference) is None
