"""429, as clients of OpenAI know it: what is said, and which lines go with it.

HeadgateError (services.domain.errors)
├── RateLimited     429  a limit is used up for now: code rate_limit_exceeded, Retry-After says when
├── QuotaExhausted  429  a day's budget is used up: code insufficient_quota; clients are told not to retry
└── NeverFits       400  more than the whole limit in one request: code request_exceeds_limit
"""

from __future__ import annotations

from math import ceil
from typing import Literal

from services.domain.errors import HeadgateError
from services.gateway.limiting.heads import WHOLE_WINDOW, lines_of
from services.gateway.limiting.plans import Scope

Quantity = Literal[
    "requests_per_minute", "tokens_per_minute", "concurrency", "tokens_per_day", "dollars_per_day"
]
DAILY = frozenset({"tokens_per_day", "dollars_per_day"})
_SHOWN: dict[Quantity, str] = {"requests_per_minute": "requests", "tokens_per_minute": "tokens"}
_UNITS: dict[Quantity, str] = {
    "requests_per_minute": "requests in any 60 seconds",
    "tokens_per_minute": "tokens in any 60 seconds",
    "concurrency": "requests at a time",
    "tokens_per_day": "tokens a day (UTC)",
    "dollars_per_day": "dollars a day (UTC)",
}
_ONE = {quantity: text.replace("s ", " ", 1) for quantity, text in _UNITS.items()}


class LimitReached(HeadgateError):
    """What all three have: ``scope_kind`` and ``quantity`` are counted, ``fields`` go into the head."""

    fields = b""

    def __init__(self, message: str, scope: Scope, quantity: Quantity) -> None:
        super().__init__(message)
        self.scope_kind = scope.kind
        self.quantity: Quantity = quantity


class RateLimited(LimitReached):
    """A limit is used up for now."""

    http_status = 429
    code = "rate_limit_exceeded"


class QuotaExhausted(LimitReached):
    """A day's budget is used up."""

    http_status = 429
    code = "insufficient_quota"
    kind = "insufficient_quota"


class NeverFits(LimitReached):
    """One request asks for more than the whole limit."""

    http_status = 400
    code = "request_exceeds_limit"


def never_fits(scope: Scope, quantity: Quantity, cost: int, limit: int) -> NeverFits:
    """Return the error for a request that no waiting would help."""
    return NeverFits(
        f"{_whose(scope)} may use {_amount(quantity, limit)}, and this request alone may take "
        f"{_amount(quantity, cost).partition(' ')[0]} by the size of its prompt and its max_tokens "
        "(a default, where it has none): it never fits. Set a smaller max_tokens, send a shorter prompt, or "
        "ask for a higher limit",
        scope,
        quantity,
    )


def refused(
    scope: Scope, quantity: Quantity, limit: int, left: int, wait_seconds: float, apart: int
) -> LimitReached:
    """Return the error for a request that does not fit now.

    ``apart`` is into how many parts the limit is divided because replicas do not hear each other; 0 for none.
    """
    note = f" (one of {apart} gateways' part, while they do not hear of each other)" if apart else ""
    if quantity in DAILY:
        error: LimitReached = QuotaExhausted(
            f"{_whose(scope)} may use {_amount(quantity, limit)}{note}, and what is left is not enough for "
            "this request; the budget starts anew at 00:00 UTC, or ask for a higher one",
            scope,
            quantity,
        )
    else:
        error = RateLimited(
            f"{_whose(scope)} may use {_amount(quantity, limit)}{note}, and has "
            f"{left:,} left, too little for this request; try again in {_seconds(wait_seconds)} s",
            scope,
            quantity,
        )
    error.fields = _fields(quantity, limit, left, wait_seconds, apart)
    return error


def _fields(quantity: Quantity, limit: int, left: int, wait_seconds: float, apart: int) -> bytes:
    fields = b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (
        max(1, ceil(wait_seconds)),
        max(1, ceil(1000 * wait_seconds)),
    )
    if quantity in DAILY:
        fields += b"x-should-retry: false\r\n"
    elif quantity in _SHOWN:
        fields += lines_of(_SHOWN[quantity], limit, left, WHOLE_WINDOW)
    if apart:
        fields += b"x-headgate-limits: divided by %d\r\n" % apart
    return fields


def _whose(scope: Scope) -> str:
    if scope.kind == "unit":
        return f"a unit of route {scope.name!r}"
    return "your key" if scope.kind == "key" else f"{scope.kind} {scope.name!r}"


def _amount(quantity: Quantity, amount: int) -> str:
    number = f"{amount / 1e9:,.4g}" if quantity == "dollars_per_day" else f"{amount:,}"
    return f"{number} {_UNITS[quantity]}" if number != "1" else f"1 {_ONE[quantity]}"


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.001):.3g}"
