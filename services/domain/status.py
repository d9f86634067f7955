"""What a request came to, and whether that counts as an error of the variant that served it.

Units are randomised, so what callers do wrong meets every variant alike, and a difference is the variant's
doing: a model that knows no ``temperature`` refuses as the caller's fault what the control takes. Therefore
everything counts as an error in which a caller asked for an answer and got none, whoever seems to blame.

This module is the only place that decides it. docs/errors.md prints the table, and a test holds the two
together.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class OutcomeStatus(IntEnum):
    """How a request ended. The numbers are on the wire: never reuse one."""

    OK = 0
    CONTENT_FILTERED = 1
    CALLER_ERROR = 2
    CALLER_GONE = 3
    REJECTED = 4
    CALLER_GAVE_UP = 5
    PROVIDER_ERROR = 10
    TIMEOUT = 11
    CONNECTION_FAILED = 12
    STREAM_BROKEN = 13
    PROVIDER_REFUSED = 14
    UNSERVEABLE = 15


class StatusRule(NamedTuple):
    """One row of the table: a status, when it is given, and whether it is an error of the variant."""

    status: OutcomeStatus
    is_error: bool
    fails_over: bool
    given_when: str


STATUS_RULES: tuple[StatusRule, ...] = (
    StatusRule(OutcomeStatus.OK, False, False, "the provider answered 2xx and the answer arrived whole"),
    StatusRule(
        OutcomeStatus.CONTENT_FILTERED,
        False,
        False,
        "the provider's content filter refused: finish_reason content_filter, or 400 with that code",
    ),
    StatusRule(
        OutcomeStatus.CALLER_ERROR,
        True,
        False,
        "the provider answered 400, 422 or another 4xx of the caller's",
    ),
    StatusRule(OutcomeStatus.CALLER_GONE, False, False, "the caller hung up in the middle of the answer"),
    StatusRule(
        OutcomeStatus.REJECTED,
        True,
        False,
        "the gateway itself answered 429: every endpoint of the variant has all the requests it may have",
    ),
    StatusRule(
        OutcomeStatus.CALLER_GAVE_UP,
        True,
        False,
        "the caller hung up before the first byte of the answer",
    ),
    StatusRule(
        OutcomeStatus.PROVIDER_ERROR,
        True,
        True,
        "the provider answered 5xx, an error inside a 2xx, or what is not HTTP or not JSON",
    ),
    StatusRule(OutcomeStatus.TIMEOUT, True, True, "no answer in time (also the provider's own 408)"),
    StatusRule(OutcomeStatus.CONNECTION_FAILED, True, True, "the endpoint could not be reached, or hung up"),
    StatusRule(
        OutcomeStatus.STREAM_BROKEN,
        True,
        False,
        "the answer broke off after its first byte, or an error came inside it",
    ),
    StatusRule(
        OutcomeStatus.PROVIDER_REFUSED,
        True,
        True,
        "the provider answered 401, 403, 404 or 429, and no other endpoint of the variant did better",
    ),
    StatusRule(OutcomeStatus.UNSERVEABLE, True, True, "no endpoint of the variant could be asked at all"),
)

_BY_STATUS = {rule.status: rule for rule in STATUS_RULES}
ERROR_STATUSES = frozenset(rule.status for rule in STATUS_RULES if rule.is_error)
FAILOVER_STATUSES = frozenset(rule.status for rule in STATUS_RULES if rule.fails_over)


def is_error(status: OutcomeStatus) -> bool:
    """Say whether the status counts as an error of the variant that served the request."""
    return status in ERROR_STATUSES


def rule_of(status: OutcomeStatus) -> StatusRule:
    """Return the table's row for a status."""
    return _BY_STATUS[status]


_REFUSALS = frozenset({401, 403, 404, 429})


def status_of_response(http_status: int, *, content_filtered: bool = False) -> OutcomeStatus:
    """Return the status of a complete answer from a provider."""
    if content_filtered and (http_status < 300 or http_status == 400):
        return OutcomeStatus.CONTENT_FILTERED
    if 200 <= http_status < 300:
        return OutcomeStatus.OK
    if http_status == 408:
        return OutcomeStatus.TIMEOUT
    if http_status in _REFUSALS:
        return OutcomeStatus.PROVIDER_REFUSED
    if 400 <= http_status < 500:
        return OutcomeStatus.CALLER_ERROR
    return OutcomeStatus.PROVIDER_ERROR


def errors_table_markdown() -> str:
    """Return the table as docs/errors.md prints it."""
    rows = [
        f"| `{rule.status.name.lower()}` | {rule.status.value} | {_yes_no(rule.is_error)} "
        f"| {_yes_no(rule.fails_over)} | {rule.given_when} |"
        for rule in STATUS_RULES
    ]
    head = "| status | number | error of the variant | next endpoint is asked | given when |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
