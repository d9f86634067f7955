"""The health of a blue-green's idle slot, as a sentence and a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.cli.control.tables import Columns, console, moment, print_heading, print_table

_CHECKS: Columns = {
    "check": lambda one: one["name"],
    "passed": lambda one: one["passed"],
    "requests": lambda one: len(one["attempts"]),
    "slowest": lambda one: f"{max((each['latency_seconds'] for each in one['attempts']), default=0):.3f} s",
    "wrong": lambda one: "; ".join(dict.fromkeys(_problems(one))),
}


def print_health(body: Any) -> None:
    """Print whether the slot is healthy, and what the newest checks found."""
    console().print(body["sentence"])
    if body["items"]:
        newest = body["items"][0]
        print_heading(
            f"Checked {newest['variant']} in slot {newest['slot']} at {moment(newest['checked_at'])}"
        )
        print_table(_CHECKS, newest["checks"])


def _problems(check: Any) -> Iterator[str]:
    for attempt in check["attempts"]:
        for one in attempt["problems"]:
            yield f"expected {one['expected']}, came {one['came']}"
