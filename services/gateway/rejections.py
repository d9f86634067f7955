"""What the gateway itself refuses, and the one shape every error has: OpenAI's.

HeadgateError (services.domain.errors)
├── InvalidRequest         400  the body is not a request that can be routed, or names no unit
├── InvalidFeedback        400  feedback is not as it must be, or its token is none or too old
├── NotFound
│   ├── UnknownRoute       404  no such route: code model_not_found
│   └── UnknownVariant     404  the route has no such variant to force
├── LimitReached          429, 400  see services.gateway.limiting.refusals
├── Forbidden
│   ├── RouteNotAllowed    403  the key may not use the route
│   └── ScopeMissing       403  the key has not the scope for it
└── Unserveable
    ├── FeedbackNotStored  503  Kafka does not have the feedback, as far as is known
    └── NotReady           503  no configuration yet
"""

from __future__ import annotations

import msgspec

from services.domain.errors import Forbidden, HeadgateError, NotFound, Unserveable

_encode = msgspec.json.Encoder().encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class InvalidRequest(HeadgateError):
    """The request is not one that can be routed. ``param`` names the field."""

    http_status = 400
    code = "invalid_request"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnknownRoute(NotFound):
    """No route has this name."""

    code = "model_not_found"
    param = "model"


class UnknownVariant(NotFound):
    """The route has no variant of this name. ``param`` is the header that named it."""

    code = "variant_not_found"
    param = "x-headgate-force-variant"


class ScopeMissing(Forbidden):
    """The key is good, but not for this."""

    code = "scope_missing"


class RouteNotAllowed(Forbidden):
    """The key is good, but not for this route."""

    code = "model_not_allowed"
    param = "model"


class MethodNotAllowed(HeadgateError):
    """The path exists, for another method."""

    http_status = 405
    code = "method_not_allowed"


class NotReady(Unserveable):
    """The gateway has not read any configuration yet."""

    code = "not_ready"


def _error(message: str, status: int, code: str, param: str | None) -> dict[str, str | None]:
    return {"message": message, "type": _TYPES.get(status, "server_error"), "param": param, "code": code}


def error_body(
    message: str,
    *,
    status: int,
    code: str,
    param: str | None = None,
    details: object = None,
    kind: str | None = None,
) -> bytes:
    """Return an error as the official client understands it. ``details``, where there are any, go along.

    ``kind`` is its type, where the status alone does not say it.
    """
    error: dict[str, object] = {**_error(message, status, code, param)}
    if kind is not None:
        error["type"] = kind
    if details is not None:
        error["details"] = details
    return _encode({"error": error})


def error_event(message: str, *, code: str, typed: bool) -> bytes:
    """Return an error as the last event of a stream; ``typed`` as in streams of responses."""
    error = _error(message, 502, code, None)
    if not typed:
        return b"data: " + _encode({"error": error}) + b"\n\n"
    # OpenAI documents the error's fields at the top; its client raises what is under ``error``.
    event = {"type": "error", "code": code, "message": message, "param": None, "error": error}
    return b"event: error\ndata: " + _encode(event) + b"\n\n"


def body_of(error: HeadgateError) -> bytes:
    """Return the body of one of our own errors."""
    param = getattr(error, "param", None)
    details = getattr(error, "details", None)
    kind = getattr(error, "kind", None)
    return error_body(
        str(error), status=error.http_status, code=error.code, param=param, details=details, kind=kind
    )
