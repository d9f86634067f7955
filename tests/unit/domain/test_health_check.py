"""What a health check finds wrong with an answer, and which checks can be defined."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidDefinition
from services.domain.health_check import (
    DEFAULT_CHECKS,
    ContentExpectation,
    HealthCheck,
    HealthRun,
    Seen,
    at_pointer,
    check_health_checks,
    failing_sentence,
    judge_attempt,
)
from services.domain.health_check import CheckResult as Result

GOOD = Seen(
    status=200,
    latency_seconds=0.2,
    variant="new",
    text="The capital is Paris.",
    document={"choices": [{"finish_reason": "stop", "index": 0}], "model": "m~/1"},
)


def seen(**changes: Any) -> Seen:
    return msgspec.structs.replace(GOOD, **changes)


def problems(check: HealthCheck, came: Seen) -> list[tuple[str, str]]:
    return [(one.expected, one.came) for one in judge_attempt(check, came, variant="new").problems]


def expecting(**content: Any) -> HealthCheck:
    return HealthCheck(name="it", expect_content=ContentExpectation(**content))


@pytest.mark.parametrize("check", DEFAULT_CHECKS)
def test_a_good_answer_passes_the_default_checks(check: HealthCheck) -> None:
    assert problems(check, GOOD) == []


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (seen(status=500, text="out of order"), [("status 200", "status 500: out of order")]),
        (seen(status=None, failure="no answer"), [("status 200", "no answer")]),
        (seen(latency_seconds=31.0), [("an answer within 30 s", "one after 31.00 s")]),
        (seen(variant="old"), [("an answer of variant 'new'", "one of 'old'")]),
        (seen(text="  \n"), [(r"a text that matches '\\S'", "  \n")]),
        (seen(text=""), [(r"a text that matches '\\S'", "an empty one")]),
        (seen(failure="a stream that broke off"), [("a whole answer", "a stream that broke off")]),
        (
            seen(status=503, text="", latency_seconds=40.0),
            [("status 200", "status 503"), ("an answer within 30 s", "one after 40.00 s")],
        ),
    ],
)
def test_what_was_expected_and_what_came(came: Seen, expected: list[tuple[str, str]]) -> None:
    assert problems(HealthCheck(name="it"), came) == expected


def test_a_refusal_may_be_what_is_expected() -> None:
    check = HealthCheck(
        name="refuses", expect_status=400, expect_content=ContentExpectation(contains="not allowed")
    )
    assert problems(check, seen(status=400, text="that is not allowed")) == []
    assert problems(check, seen(status=200)) == [("status 400", "status 200: The capital is Paris.")]


@pytest.mark.parametrize(
    ("content", "passes"),
    [
        ({"contains": "Paris"}, True),
        ({"contains": "London"}, False),
        ({"regex": r"^The \w+ is"}, True),
        ({"regex": r"^Paris"}, False),
        ({"fields": {"/choices/0/finish_reason": "stop"}}, True),
        ({"fields": {"/choices/0/finish_reason": "length"}}, False),
        ({"fields": {"/choices/1/finish_reason": "stop"}}, False),
        ({"fields": {"/choices/0/index": 0}}, True),
        ({"fields": {"/choices/0/index": False}}, False),
        ({"fields": {"/nothing": None}}, False),
        ({"contains": "Paris", "fields": {"/model": "m"}}, False),
        ({}, True),
    ],
)
def test_content(content: dict[str, Any], passes: bool) -> None:
    assert (problems(expecting(**content), GOOD) == []) is passes


def test_pointers_as_rfc_6901_has_them() -> None:
    document = {"a/b": 1, "m~n": 2, "": 3, "list": ["x", {"k": None}]}
    assert [at_pointer(document, p) for p in ("/a~1b", "/m~0n", "/", "/list/0", "/list/1/k", "")] == [
        1,
        2,
        3,
        "x",
        None,
        document,
    ]


@given(st.text(max_size=6), st.integers(0, 2))
def test_a_pointer_into_nothing_equals_nothing(name: str, index: int) -> None:
    missing = at_pointer({"here": [1]}, f"/there/{index}")
    assert missing != None  # noqa: E711 - the point is that null is not the same as missing
    assert missing != name


def test_a_run_says_what_failed_first_and_how_often() -> None:
    check = HealthCheck(name="answers")
    fine, broken = (judge_attempt(check, one, variant="new") for one in (GOOD, seen(status=502, text="")))
    results = (
        Result(name="other", attempts=(fine,)),
        Result(name="answers", attempts=(fine, broken, broken)),
    )
    about: dict[str, Any] = {
        "slot": "green",
        "variant": "new",
        "allocation_version": 3,
        "occasion": "start",
        "seconds": 1.0,
        "checked_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    run = HealthRun.of(results, **about)
    assert not run.passed
    assert run.sentence == (
        "check 'answers' failed in 2 of 3 attempts; attempt 2: expected status 200, came status 502"
    )
    healthy = HealthRun.of(results[:1], **about)
    assert healthy.passed
    assert healthy.sentence == "all checks passed (1 requests in 1.0 s)"
    assert failing_sentence(()) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "checks[0].name"),
        ({"body": {"model": "x"}}, "checks[0].body"),
        ({"attempts": 0}, "checks[0].attempts"),
        ({"attempts": 21}, "checks[0].attempts"),
        ({"expect_status": 99}, "checks[0].expect_status"),
        ({"max_latency_seconds": 0.0}, "checks[0].max_latency_seconds"),
        ({"max_latency_seconds": float("nan")}, "checks[0].max_latency_seconds"),
        ({"expect_content": ContentExpectation(contains="")}, "checks[0].expect_content.contains"),
        ({"expect_content": ContentExpectation(regex="(")}, "checks[0].expect_content.regex"),
        ({"expect_content": ContentExpectation(regex="x" * 501)}, "checks[0].expect_content.regex"),
        ({"expect_content": ContentExpectation(fields={"no": 1})}, "checks[0].expect_content.fields"),
    ],
)
def test_checks_that_cannot_be(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        check_health_checks((HealthCheck(**{"name": "it"} | changes),))
    assert refused.value.field == field


def test_as_many_checks_as_make_sense() -> None:
    check_health_checks(DEFAULT_CHECKS)
    for checks in ((), (DEFAULT_CHECKS[0],) * 2, (DEFAULT_CHECKS[0],) * 21):
        with pytest.raises(InvalidDefinition, match="checks"):
            check_health_checks(checks)
