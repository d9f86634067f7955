"""The table of what counts as an error, case by case, and that the documentation prints the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.domain.status import (
    ERROR_STATUSES,
    FAILOVER_STATUSES,
    STATUS_RULES,
    OutcomeStatus,
    errors_table_markdown,
    is_error,
    rule_of,
    status_of_response,
)

S = OutcomeStatus

CASES = [
    (200, S.OK),
    (201, S.OK),
    (302, S.PROVIDER_ERROR),
    (400, S.CALLER_ERROR),
    (401, S.PROVIDER_REFUSED),
    (403, S.PROVIDER_REFUSED),
    (404, S.PROVIDER_REFUSED),
    (405, S.CALLER_ERROR),
    (408, S.TIMEOUT),
    (413, S.CALLER_ERROR),
    (422, S.CALLER_ERROR),
    (429, S.PROVIDER_REFUSED),
    (500, S.PROVIDER_ERROR),
    (502, S.PROVIDER_ERROR),
    (503, S.PROVIDER_ERROR),
    (529, S.PROVIDER_ERROR),
]


@pytest.mark.parametrize(("http_status", "status"), CASES)
def test_a_complete_answer(http_status: int, status: OutcomeStatus) -> None:
    assert status_of_response(http_status) is status


@pytest.mark.parametrize(
    ("http_status", "status"),
    [
        (200, S.CONTENT_FILTERED),
        (400, S.CONTENT_FILTERED),
        (500, S.PROVIDER_ERROR),
        (429, S.PROVIDER_REFUSED),
    ],
)
def test_a_filtered_answer(http_status: int, status: OutcomeStatus) -> None:
    assert status_of_response(http_status, content_filtered=True) is status


def test_errors_of_the_variant() -> None:
    assert {
        S.CALLER_ERROR,
        S.REJECTED,
        S.CALLER_GAVE_UP,
        S.PROVIDER_ERROR,
        S.TIMEOUT,
        S.CONNECTION_FAILED,
        S.STREAM_BROKEN,
        S.PROVIDER_REFUSED,
        S.UNSERVEABLE,
    } == ERROR_STATUSES
    assert [status for status in S if is_error(status)] == sorted(ERROR_STATUSES)


def test_what_is_asked_of_the_next_endpoint() -> None:
    stay = {S.CALLER_ERROR, S.REJECTED, S.CALLER_GAVE_UP, S.STREAM_BROKEN}
    assert stay == ERROR_STATUSES - FAILOVER_STATUSES
    assert FAILOVER_STATUSES <= ERROR_STATUSES


def test_each_status_has_one_row() -> None:
    assert [rule.status for rule in STATUS_RULES] == list(S)
    assert all(rule_of(status).status is status for status in S)


def test_the_documentation_prints_the_table() -> None:
    printed = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
    assert errors_table_markdown() in printed
