"""Feedback as callers send it: read and checked, all of it before any of it is taken.

    {"token", "name", "value", "event_id"?}    or    {"feedback": [such, …]}

Without an ``event_id`` a piece gets one made of its request and its name, so that sending it twice counts
once. A caller who reports the same name several times about one answer gives each report an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from services.domain.configuration import CredentialConfig
from services.domain.errors import HeadgateError
from services.domain.events import Feedback
from services.domain.metric import LARGEST_REPORTED, is_feedback_name
from services.gateway.feedback_tokens import LONGEST_TOKEN, FeedbackToken, FeedbackTokens

MAX_ITEMS = 500
LONGEST_EVENT_ID = 128
MOST_PROBLEMS = 20
"""How many are told of one request."""
_FIELDS = {"token", "name", "value", "event_id"}

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one piece of feedback. ``index`` None: with the request as a whole."""

    index: int | None
    field: str
    message: str
    code: str = "invalid_feedback"

    @property
    def param(self) -> str:
        """Where it is, in what the caller sent."""
        if self.index is None:
            return self.field
        return f"feedback[{self.index}]" + (f".{self.field}" if self.field else "")


class InvalidFeedback(HeadgateError):
    """The feedback cannot be taken, and none of it was."""

    http_status = 400

    def __init__(self, problems: list[Problem]) -> None:
        first = problems[0]
        super().__init__(f"{first.param}: {first.message}" if first.param else first.message)
        self.problems = problems
        self.param = first.param or None
        self.code = first.code

    @property
    def details(self) -> list[dict[str, Any]]:
        """Every problem, up to a number of them."""
        told = self.problems[:MOST_PROBLEMS]
        return [
            {"index": one.index, "param": one.param, "code": one.code, "message": one.message} for one in told
        ]


class FeedbackReader:
    """Reads the bodies of requests; ``now`` is in seconds since the epoch."""

    def __init__(self, tokens: FeedbackTokens) -> None:
        self._tokens = tokens

    def read(self, document: bytes, credential: CredentialConfig, now: float) -> list[Feedback]:
        """Return the feedback of a request. Raises InvalidFeedback, with every problem that there is."""
        items, batch = _items(document)
        found: list[Feedback] = []
        problems: list[Problem] = []
        for index, item in enumerate(items):
            try:
                found.append(self._read_one(item, credential, now))
            except _Wrong as wrong:
                place = index if batch else None
                problems.append(Problem(place, wrong.field, str(wrong), wrong.code))
        if problems:
            raise InvalidFeedback(problems)
        return found

    def _read_one(self, item: Any, credential: CredentialConfig, now: float) -> Feedback:
        if not isinstance(item, dict):
            raise _Wrong("", "is no object with `token`, `name` and `value`")
        unknown = sorted(item.keys() - _FIELDS)
        if unknown:
            raise _Wrong(unknown[0], "is no field of feedback; there are token, name, value and event_id")
        name, value, event_id = _name(item), _value(item), _event_id(item)
        token = self._open(item, credential, now)
        return Feedback(
            event_id=event_id or f"{token.request_id}:{name}",
            name=name,
            value=float(value),
            is_boolean=isinstance(value, bool),
            unit_hash=token.unit_hash,
            unit_source=token.unit_source,
            request_id=token.request_id,
            route_key=token.route_key,
            received_at_us=int(now * 1e6),
            assignments=token.assignments,
            attributes=token.attributes,
        )

    def _open(self, item: Mapping[str, Any], credential: CredentialConfig, now: float) -> FeedbackToken:
        given = item.get("token")
        if not isinstance(given, str) or not 0 < len(given) <= LONGEST_TOKEN:
            raise _Wrong("token", "must be the answer's header x-headgate-feedback-token")
        try:
            token = self._tokens.open(given, now)
        except HeadgateError as error:
            raise _Wrong("token", str(error), error.code) from None
        if credential.routes is not None and token.route_key not in credential.routes:
            raise _Wrong("token", "is of a route that your key may not use", "model_not_allowed")
        return token


class _Wrong(Exception):
    """One field is not as it must be."""

    def __init__(self, field: str, message: str, code: str = "invalid_feedback") -> None:
        super().__init__(message)
        self.field = field
        self.code = code


def _items(document: bytes) -> tuple[list[Any], bool]:
    """Return the pieces of a request, and whether it is a batch."""
    try:
        body = _decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFeedback([Problem(None, "", f"the body is not a JSON object: {error}")]) from None
    if "feedback" not in body:
        return [body], False
    items = body["feedback"]
    if len(body) > 1 or not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS:
        problem = f"must be a list of 1 to {MAX_ITEMS}, and the only field; send more of them in parts"
        raise InvalidFeedback([Problem(None, "feedback", problem)])
    return items, True


def _name(item: Mapping[str, Any]) -> str:
    name = item.get("name")
    if not isinstance(name, str) or not is_feedback_name(name):
        raise _Wrong("name", "must be up to 63 of a-z, 0-9 and _ . -, such as satisfaction")
    return name


def _value(item: Mapping[str, Any]) -> float:
    value = item.get("value")
    if not isinstance(value, (bool, int, float)):
        raise _Wrong("value", "must be a number, true or false")
    if not abs(value) <= LARGEST_REPORTED:
        raise _Wrong(
            "value",
            f"must be between -{LARGEST_REPORTED:,} and {LARGEST_REPORTED:,}; report it in a larger unit, "
            "such as thousands",
        )
    return value


def _event_id(item: Mapping[str, Any]) -> str | None:
    event_id = item.get("event_id")
    if event_id is not None and not (isinstance(event_id, str) and 0 < len(event_id) <= LONGEST_EVENT_ID):
        raise _Wrong("event_id", f"must be a string of 1 to {LONGEST_EVENT_ID} characters")
    return event_id
