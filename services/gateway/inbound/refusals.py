"""What is answered to what is no request."""

from __future__ import annotations

from httptools import HttpParserError

from services.gateway.inbound.heads import JSON
from services.gateway.inbound.turn import Answer
from services.gateway.rejections import error_body


class TooMuch(Exception):
    """More headers than one may send; raised where only the parser can be told."""


def _refusal(status: int, code: str, message: str) -> Answer:
    return status, JSON, error_body(message, status=status, code=code)


NOT_HTTP = _refusal(400, "invalid_request", "what was sent is not a request as HTTP/1.1 has it")
TOO_MUCH = _refusal(431, "headers_too_large", "the request's head is too large; send less")
FAULT = _refusal(500, "internal_error", "the gateway failed to serve this request; its log says why")


def meaning(error: HttpParserError) -> Answer:
    """Return what is answered where the parser gave up."""
    return TOO_MUCH if isinstance(error.__context__, TooMuch) else NOT_HTTP
