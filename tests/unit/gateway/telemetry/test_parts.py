"""Who follows requests, as the environment and the settings have it."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from services.gateway.access_log import LoggedRequest
from services.gateway.surfaces import CHAT, Call
from services.gateway.telemetry import exporting
from services.gateway.telemetry_parts import compose_watching
from services.gateway.watching import together


class Noting:
    """Notes what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[str] = []

    def __call__(self, _turn: Any, _call: Any, request_id: str) -> Any:
        self.told.append(request_id)
        return self

    def admitted(self, _exchange: Any) -> None:
        self.told.append("admitted")

    def asks(self, endpoint: Any) -> bytes:
        return f"{self.name}: {endpoint}\r\n".encode()

    def answered(self, first: bytes) -> None:
        self.told.append(first.decode())

    def ended(self, _exchange: Any, outcome: Any) -> None:
        self.told.append(outcome)

    def refused(self, http_status: int, code: str) -> None:
        self.told.append(f"{http_status} {code}")


def test_several_follow_one_request() -> None:
    one, other = Noting("one"), Noting("other")
    watch = together([one, other])
    assert watch is not None
    nothing: Any = None
    trace: Any = watch(nothing, Call(CHAT), "id")
    trace.admitted(nothing)
    assert trace.asks("e") == b"one: e\r\nother: e\r\n"
    trace.answered(b"first")
    trace.ended(nothing, "over")
    trace.refused(404, "gone")
    assert one.told == other.told == ["id", "admitted", "first", "over", "404 gone"]


def test_nobody_follows_unless_asked() -> None:
    watching = compose_watching({}, access_log=False)
    assert (watching.watch, watching.telemetry) == (None, None)
    assert compose_watching({}, access_log=True).watch is LoggedRequest


def test_a_wrong_variable_is_said_and_costs_only_telemetry(caplog: pytest.LogCaptureFixture) -> None:
    environment = {"OTEL_TRACES_EXPORTER": "zipkin"}
    assert compose_watching(environment, access_log=False).watch is None
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "zipkin" in record.getMessage()


def test_passwords_of_collectors_are_not_in_the_log() -> None:
    assert exporting._place("https://user:secret@collector:4318/v1/traces") == "collector:4318"


def test_the_sdk_is_not_even_imported() -> None:
    program = (
        "import sys, services.gateway.app; sys.exit(any(m.startswith('opentelemetry') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - ours
