"""What becomes of each fault of a provider: docs/gateway.md prints this table, a test holds both to it."""

from __future__ import annotations

from typing import NamedTuple

from services.demo.provider_behaviour import Fault
from services.domain.status import OutcomeStatus as S

GOOD = "200"
NO_ANSWER = "503 `endpoint_unavailable`"
BREAKS = "200, then `stream_broken`"


class Row(NamedTuple):
    """What the official client gets and which outcome is recorded, for a whole answer and for a stream."""

    fault: Fault
    whole: str
    whole_status: S
    stream: str
    stream_status: S


def _both(fault: Fault, seen: str, status: S) -> Row:
    return Row(fault, seen, status, seen, status)


FAULTS = (
    _both(Fault.SLOW, GOOD, S.OK),
    _both(Fault.HANG, NO_ANSWER, S.TIMEOUT),
    _both(Fault.REFUSE, NO_ANSWER, S.CONNECTION_FAILED),
    _both(Fault.GARBAGE, NO_ANSWER, S.PROVIDER_ERROR),
    _both(Fault.BROKEN_EARLY, NO_ANSWER, S.CONNECTION_FAILED),
    Row(Fault.BROKEN, NO_ANSWER, S.CONNECTION_FAILED, BREAKS, S.STREAM_BROKEN),
    Row(Fault.STALL, NO_ANSWER, S.TIMEOUT, BREAKS, S.STREAM_BROKEN),
    Row(Fault.WRONG_LENGTH, NO_ANSWER, S.PROVIDER_ERROR, BREAKS, S.STREAM_BROKEN),
    Row(Fault.TRUNCATED, NO_ANSWER, S.PROVIDER_ERROR, BREAKS, S.STREAM_BROKEN),
    Row(Fault.ERROR_INSIDE, GOOD, S.PROVIDER_ERROR, "200, then `server_error`", S.STREAM_BROKEN),
    _both(Fault.ERROR, "500 `server_error`", S.PROVIDER_ERROR),
    _both(Fault.OVERLOADED, "503 `overloaded`", S.PROVIDER_ERROR),
    _both(Fault.RATE_LIMIT, "429 `rate_limit_exceeded`", S.PROVIDER_REFUSED),
    _both(Fault.UNAUTHORIZED, "401 `invalid_api_key`", S.PROVIDER_REFUSED),
    _both(Fault.FORBIDDEN, "403 `permission_denied`", S.PROVIDER_REFUSED),
    _both(Fault.NOT_FOUND, "404 `model_not_found`", S.PROVIDER_REFUSED),
    _both(Fault.TIMEOUT_408, "408 `timeout`", S.TIMEOUT),
    _both(Fault.BAD_REQUEST, "400 `invalid_value`", S.CALLER_ERROR),
    _both(Fault.UNPROCESSABLE, "422 `unprocessable_entity`", S.CALLER_ERROR),
    _both(Fault.CONTENT_FILTER_400, "400 `content_filter`", S.CONTENT_FILTERED),
    _both(Fault.CONTENT_FILTER, GOOD, S.CONTENT_FILTERED),
)


def table_markdown() -> str:
    """Return the table as docs/gateway.md prints it."""
    head = "| fault | whole answer: client gets | outcome | stream: client gets | outcome |"
    rows = [
        f"| `{row.fault}` | {row.whole} | `{row.whole_status.name.lower()}` "
        f"| {row.stream} | `{row.stream_status.name.lower()}` |"
        for row in FAULTS
    ]
    return "\n".join([head, "|---|---|---|---|---|", *rows])
