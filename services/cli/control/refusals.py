"""What can go wrong between a command and the control plane, and the exit status of each.

    ControlFailure
    ├── Refused           1  the control plane says no: no such thing, a conflict, a rule that is broken
    │   └── KeyRefused    4  the key is missing or not the right one
    └── Unreachable       3  nobody answers, or not a control plane, or one that is broken

Wrong usage and files with faults are 2, as click has it. Every message says what to do next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


class ControlFailure(click.ClickException):
    """Anything that kept a command from doing what it was asked."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Say it on stderr as every command does."""
        click.echo(f"headgate: {self.format_message()}", file=file, err=file is None)


class Unreachable(ControlFailure):
    """There is no answer that one could act on."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field, by its dotted path in what was sent."""

    field: str
    message: str


class Refused(ControlFailure):
    """The control plane answered with a problem."""

    def __init__(self, status: int, detail: str, fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(_sentence(status, detail, fields))
        self.status = status
        self.detail = in_commands(detail)
        self.fields = fields


class KeyRefused(Refused):
    """The control plane does not know this key, or does not take it any more."""

    exit_code = 4

    def __init__(self, url: str) -> None:
        super().__init__(
            401,
            f"the control plane at {url} refuses the key; set HEADGATE_API_KEY to one that is neither "
            "revoked nor expired, or HEADGATE_ADMIN_KEY to the one it was started with",
        )


def refusal(status: int, body: object, url: str) -> ControlFailure:
    """Return what an answer of 400 or above means."""
    if not isinstance(body, Mapping) or "detail" not in body or "code" not in body:
        return Unreachable(
            f"{url} answers with status {status}, but not as a control plane does; see HEADGATE_API_URL"
        )
    if status == 401:
        return KeyRefused(url)
    detail = str(body["detail"])
    if status >= 500:
        return Unreachable(f"the control plane at {url} cannot answer ({status}): {detail}")
    errors = body.get("errors", [])
    return Refused(status, detail, tuple(FieldProblem(one["field"], one["message"]) for one in errors))


_GET = re.compile(r"GET /v1/([a-z]+)\b(?!/)")
_VERB = re.compile(r"POST /v1/experiments/([^\s/]+)/([a-z]+)")


def in_commands(text: str) -> str:
    """Return the api's advice in commands instead of addresses."""
    return _VERB.sub(r"`headgate \2 \1`", _GET.sub(r"`headgate get \1`", text))


def _sentence(status: int, detail: str, fields: tuple[FieldProblem, ...]) -> str:
    if status == 412:
        return f"somebody else changed it in the meantime; look at it again, then repeat ({detail})"
    if not fields:
        return in_commands(detail)
    lines = [f"  {one.field}: {in_commands(one.message)}" for one in fields]
    return "\n".join(["refused; correct this and try again:", *lines])
