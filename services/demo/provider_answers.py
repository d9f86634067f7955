"""The simulated answers in OpenAI's and Azure OpenAI's form: errors, and what all surfaces share."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import msgspec

from services.demo.provider_behaviour import Fault

CREATED = 1_700_000_000

encode = msgspec.json.Encoder().encode
_numbers = itertools.count(1)

REFUSALS = {
    Fault.RATE_LIMIT: (429, "rate_limit_exceeded", "Rate limit reached (simulated)."),
    Fault.OVERLOADED: (503, "overloaded", "The server is overloaded (simulated)."),
    Fault.UNAUTHORIZED: (401, "invalid_api_key", "Incorrect API key provided (simulated)."),
    Fault.FORBIDDEN: (403, "permission_denied", "Not allowed (simulated)."),
    Fault.NOT_FOUND: (404, "model_not_found", "The model does not exist (simulated)."),
    Fault.BAD_REQUEST: (400, "invalid_value", "Invalid value (simulated)."),
    Fault.UNPROCESSABLE: (422, "unprocessable_entity", "Cannot be processed (simulated)."),
    Fault.CONTENT_FILTER_400: (400, "content_filter", "The prompt was filtered (simulated)."),
    Fault.TIMEOUT_408: (408, "timeout", "The request timed out (simulated)."),
}
"""Faults that are a complete answer: status, code, message."""


class Answer(Protocol):
    """A good answer on one surface."""

    def whole(self) -> bytes:
        """Return it as one JSON document."""

    def failed(self) -> bytes:
        """Return, with status 200, that it failed."""

    def events(self) -> list[bytes]:
        """Return it as server-sent events."""

    def failed_event(self) -> bytes:
        """Return the event that says, in the middle of a stream, that it failed."""


def error(status: int, code: str, message: str) -> bytes:
    """Return an error's body."""
    return encode({"error": error_object(status, code, message)})


def error_object(status: int, code: str, message: str) -> dict[str, Any]:
    """Return what an error's body holds."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"message": message, "type": kind, "param": None, "code": code}


def server_error() -> bytes:
    """Return the body of an error that the provider is to blame for."""
    return error(500, "server_error", "The server had an error (simulated).")


def new_id(prefix: str) -> str:
    """Return an identifier."""
    return f"{prefix}-sim-{next(_numbers)}"


def event(document: object, name: str | None = None) -> bytes:
    """Return a server-sent event."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode(document) + b"\n\n"
