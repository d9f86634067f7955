"""Log lines as objects: what each holds, and that nothing a record carries can break one."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.log_format import JsonFormatter, formatter

RECORDED = 1_795_000_000.25


def line(
    message: str = "said", *args: Any, error: BaseException | None = None, **fields: Any
) -> dict[str, Any]:
    """A record as it is written."""
    told = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("services.gateway.x", logging.WARNING, "x.py", 1, message, args, told)
    record.created = RECORDED
    vars(record).update(fields)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_a_line_holds() -> None:
    found = line("%d of %s", 3, "é", request_id="abc", seconds=0.5, color_message="\x1b[36m%d\x1b[0m")
    assert isinstance(found.pop("pid"), int)
    assert found == {
        "timestamp": "2026-11-18T11:06:40.250Z",
        "level": "warning",
        "logger": "services.gateway.x",
        "message": "3 of é",
        "request_id": "abc",
        "seconds": 0.5,
    }


def test_exceptions_are_in_the_line() -> None:
    nothing: dict[str, int] = {}
    with pytest.raises(KeyError) as raised:
        nothing["lost"]
    found = line(error=raised.value)["exception"]
    assert found["type"] == "builtins.KeyError"
    assert found["message"] == "'lost'"
    assert 'nothing["lost"]' in found["stacktrace"]


@given(st.dictionaries(st.text(min_size=1), st.text() | st.binary() | st.sets(st.integers()) | st.floats()))
def test_any_field_makes_a_line(fields: dict[str, Any]) -> None:
    kept = {name: value for name, value in fields.items() if name not in vars(logging.makeLogRecord({}))}
    found = line(**{f"x{name}": value for name, value in kept.items()})
    assert {f"x{name}" for name in kept} <= found.keys()


def test_what_is_no_text_is_escaped() -> None:
    found = line("a \udc80", level="theirs", odd={(1, 2): object()})
    assert found["message"] == "a \udc80"
    assert (found["level"], found["level_"]) == ("warning", "theirs")


def test_timestamps_are_of_the_record() -> None:
    assert datetime.fromisoformat(line()["timestamp"]).timestamp() == RECORDED


def test_formats_by_name() -> None:
    assert isinstance(formatter(" JSON "), JsonFormatter)
    for name in (None, "", "text"):
        assert not isinstance(formatter(name), JsonFormatter)
    with pytest.raises(ValueError, match="HEADGATE_LOG_FORMAT"):
        formatter("xml")


def test_what_nobody_caught_is_a_line_too() -> None:
    program = """
import threading, warnings
from services.cli.running import set_up_logging
set_up_logging()
warnings.warn("careful")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("over")
"""
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        env={"HEADGATE_LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    lines = [json.loads(one) for one in ended.stderr.splitlines()]
    assert [(one["level"], one["logger"]) for one in lines] == [
        ("warning", "py.warnings"),
        ("error", "headgate"),
        ("critical", "headgate"),
    ]
    assert [one.get("exception", {}).get("message") for one in lines] == [None, "division by zero", "over"]
