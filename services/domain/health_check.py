"""Health checks: requests that a deployed variant must answer as expected before anybody is sent to it.

Pure: what was asked for and what came go in, what was wrong with it comes out.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

import msgspec

from services.domain.allocation import SlotName
from services.domain.errors import InvalidDefinition

Surface = Literal["chat/completions", "responses", "completions", "embeddings"]

MAX_CHECKS = 20
MAX_ATTEMPTS = 20
MAX_PATTERN = 500
MAX_TEXT = 20_000
"""So much of an answer is looked through."""
SHOWN_TEXT = 300

_QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Are you there? Answer with one short sentence."}]
}
_MISSING = object()
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


class ContentExpectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer must hold; everything that is given must be true.

    ``contains`` and ``regex`` are about the text of the answer, ``fields`` about its JSON: values by pointer
    (RFC 6901), such as ``{"/choices/0/finish_reason": "stop"}``.
    """

    contains: str | None = None
    regex: str | None = None
    fields: dict[str, Any] = {}


SOME_TEXT = ContentExpectation(regex=r"\S")
"""Any text at all."""


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of request, sent ``attempts`` times; each must be answered as expected.

    ``body`` is the request without its model, which is the route.
    """

    name: str
    surface: Surface = "chat/completions"
    body: dict[str, Any] = msgspec.field(default_factory=lambda: dict(_QUESTION))
    attempts: int = 3
    expect_status: int = 200
    max_latency_seconds: float = 30.0
    expect_content: ContentExpectation = SOME_TEXT


DEFAULT_CHECKS = (
    HealthCheck(name="answers"),
    HealthCheck(name="streams", body=_QUESTION | {"stream": True}, attempts=2),
)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one request. ``status`` None: nothing did, ``failure`` says why."""

    status: int | None
    latency_seconds: float
    variant: str | None = None
    text: str = ""
    document: Any = None
    request_id: str | None = None
    failure: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """What was expected, and what came instead."""

    expected: str
    came: str


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a check, judged; passed where there are no problems."""

    status: int | None
    latency_seconds: float
    text: str
    request_id: str | None
    problems: tuple[Problem, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """A check, judged; passed where each of its attempts did."""

    name: str
    attempts: tuple[AttemptResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every attempt was as expected."""
        return all(attempt.passed for attempt in self.attempts)


Occasion = Literal["start", "by_hand", "switch", "rollback"]


class HealthRun(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of a slot's variant, run once. ``sentence`` says what failed, or that nothing did."""

    slot: SlotName
    variant: str
    allocation_version: int
    occasion: Occasion
    passed: bool
    sentence: str
    checks: tuple[CheckResult, ...]
    seconds: float
    checked_at: datetime

    @classmethod
    def of(
        cls,
        checks: tuple[CheckResult, ...],
        *,
        slot: SlotName,
        variant: str,
        allocation_version: int,
        occasion: Occasion,
        seconds: float,
        checked_at: datetime,
    ) -> HealthRun:
        """Return the run with what it comes to."""
        failing = failing_sentence(checks)
        attempts = sum(len(check.attempts) for check in checks)
        return cls(
            slot=slot,
            variant=variant,
            allocation_version=allocation_version,
            occasion=occasion,
            passed=failing is None,
            sentence=failing or f"all checks passed ({attempts} requests in {seconds:.1f} s)",
            checks=checks,
            seconds=seconds,
            checked_at=checked_at,
        )


def failing_sentence(results: tuple[CheckResult, ...]) -> str | None:
    """Return what the first check that failed expected and what came; None where all passed."""
    for check in results:
        for number, attempt in enumerate(check.attempts, start=1):
            if attempt.problems:
                first = attempt.problems[0]
                failed = sum(not one.passed for one in check.attempts)
                return (
                    f"check {check.name!r} failed in {failed} of {len(check.attempts)} attempts; attempt "
                    f"{number}: expected {first.expected}, came {first.came}"
                )
    return None


def judge_attempt(check: HealthCheck, seen: Seen, *, variant: str) -> AttemptResult:
    """Compare what came to what is expected of ``variant``."""
    return AttemptResult(
        status=seen.status,
        latency_seconds=round(seen.latency_seconds, 6),
        text=seen.text[:SHOWN_TEXT],
        request_id=seen.request_id,
        problems=tuple(_problems(check, seen, variant)),
    )


def _problems(check: HealthCheck, seen: Seen, variant: str) -> list[Problem]:
    if seen.status is None:
        return [Problem(f"status {check.expect_status}", seen.failure or "no answer")]
    found = []
    if seen.status != check.expect_status:
        found.append(Problem(f"status {check.expect_status}", _status(seen)))
    elif seen.failure is not None:
        found.append(Problem("a whole answer", seen.failure))
    if seen.latency_seconds > check.max_latency_seconds:
        found.append(
            Problem(
                f"an answer within {check.max_latency_seconds:g} s", f"one after {seen.latency_seconds:.2f} s"
            )
        )
    if seen.variant is not None and seen.variant != variant:
        found.append(Problem(f"an answer of variant {variant!r}", f"one of {seen.variant!r}"))
    if not found:
        found += _content_problems(check.expect_content, seen)
    return found


def _status(seen: Seen) -> str:
    told = f": {_short(seen.text)}" if seen.text else ""
    return f"status {seen.status}{told}"


def _content_problems(expected: ContentExpectation, seen: Seen) -> list[Problem]:
    text, found = seen.text[:MAX_TEXT], []
    if expected.contains is not None and expected.contains not in text:
        found.append(Problem(f"a text that contains {expected.contains!r}", _short(text)))
    if expected.regex is not None and re.search(expected.regex, text) is None:
        found.append(Problem(f"a text that matches {expected.regex!r}", _short(text)))
    for pointer, value in expected.fields.items():
        came = at_pointer(seen.document, pointer)
        if came is _MISSING:
            found.append(Problem(f"{pointer} to be {value!r}", "an answer without it"))
        elif came != value or isinstance(came, bool) is not isinstance(value, bool):
            found.append(Problem(f"{pointer} to be {value!r}", _short(repr(came))))
    return found


def _short(text: str) -> str:
    cut = text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
    return cut or "an empty one"


def at_pointer(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer points to; a value that equals nothing else where that is not there."""
    here = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and name in here:
            here = here[name]
        elif isinstance(here, list) and name.isascii() and name.isdigit() and int(name) < len(here):
            here = here[int(name)]
        else:
            return _MISSING
    return here


def check_health_checks(checks: tuple[HealthCheck, ...]) -> None:
    """Raise InvalidDefinition for the first rule that the checks break."""
    if not 1 <= len(checks) <= MAX_CHECKS:
        raise InvalidDefinition("checks", f"has {len(checks)}; it must have from 1 to {MAX_CHECKS}")
    for i, check in enumerate(checks):
        _check_one(check, f"checks[{i}]")
    names = [check.name for check in checks]
    if len(set(names)) != len(names):
        raise InvalidDefinition("checks", "names a check twice")


def _check_one(check: HealthCheck, field: str) -> None:
    if not 1 <= len(check.name) <= 100:
        raise InvalidDefinition(f"{field}.name", "must have from 1 to 100 characters")
    if "model" in check.body:
        raise InvalidDefinition(f"{field}.body", "must not set model: it is the route")
    if not 1 <= check.attempts <= MAX_ATTEMPTS:
        raise InvalidDefinition(
            f"{field}.attempts", f"is {check.attempts}; it must be from 1 to {MAX_ATTEMPTS}"
        )
    if not 200 <= check.expect_status < 600:
        raise InvalidDefinition(f"{field}.expect_status", f"{check.expect_status} is no status of an answer")
    if not 0 < check.max_latency_seconds <= 300:
        raise InvalidDefinition(
            f"{field}.max_latency_seconds",
            f"is {check.max_latency_seconds:g}; it must be above 0 and at most 300",
        )
    _check_content(check.expect_content, f"{field}.expect_content")


def _check_content(expected: ContentExpectation, field: str) -> None:
    if expected.contains == "":
        raise InvalidDefinition(f"{field}.contains", "is empty, which every text contains; leave it out")
    if expected.regex is not None:
        if len(expected.regex) > MAX_PATTERN:
            raise InvalidDefinition(f"{field}.regex", f"is longer than {MAX_PATTERN} characters")
        try:
            re.compile(expected.regex)
        except re.error as error:
            raise InvalidDefinition(f"{field}.regex", f"is no regular expression: {error}") from None
    for pointer in expected.fields:
        if not _POINTER.fullmatch(pointer):
            raise InvalidDefinition(
                f"{field}.fields", f"{pointer!r} is no JSON pointer such as /choices/0/finish_reason"
            )
