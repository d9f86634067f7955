"""The gateway's pages: everything that it answers without asking a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from services.gateway.inbound.heads import JSON
from services.gateway.inbound.turn import Answer, Turn

Page = Callable[[Turn], Awaitable[Answer]]

_encode = msgspec.json.Encoder().encode


def json_page(value: object, status: int = 200) -> Answer:
    """Return a value as JSON."""
    return status, JSON, _encode(value)
