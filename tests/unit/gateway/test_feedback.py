"""Feedback as callers send it."""

from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import CredentialConfig
from services.domain.events import AssignedTo, Role, UnitSource
from services.gateway.feedback import MAX_ITEMS, MOST_PROBLEMS, FeedbackReader, InvalidFeedback
from services.gateway.feedback_keys import FeedbackKeys, random_key
from services.gateway.feedback_tokens import FeedbackToken, FeedbackTokens
from services.gateway.rejections import body_of
from services.gateway.secret_references import SecretResolver

NOW = 1_700_000_000.0
TOKENS = FeedbackTokens(FeedbackKeys(SecretResolver({}), None, random_key()), 86_400.0)
READER = FeedbackReader(TOKENS)
ASSIGNED = (AssignedTo(UUID(int=1), 1, Role.TREATMENT, 5_000, 1),)


def credential(*routes: str) -> CredentialConfig:
    return CredentialConfig(version=(1, 1), key_hash="", key_id="k", label="", routes=routes or None)


def token(issued_at: float = NOW, request_id: str = "request-1") -> str:
    content = FeedbackToken(
        7, UnitSource.HEADER, request_id, "support", ASSIGNED, {"tier": "gold"}, int(issued_at)
    )
    issued = TOKENS.issue(content, NOW)
    assert issued is not None
    return issued.decode()


TOKEN = token()


def piece(**changes: Any) -> dict[str, Any]:
    return {"token": TOKEN, "name": "satisfaction", "value": True} | changes


def problems_of(body: object, by: CredentialConfig | None = None) -> list[tuple[str, str]]:
    document = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidFeedback) as raised:
        READER.read(document, by or credential(), NOW)
    return [(one.param, one.code) for one in raised.value.problems]


def test_one_piece() -> None:
    (found,) = READER.read(json.dumps(piece()).encode(), credential(), NOW)
    assert (found.name, found.value, found.is_boolean) == ("satisfaction", 1.0, True)
    assert (found.unit_hash, found.unit_source) == (7, UnitSource.HEADER)
    assert (found.request_id, found.route_key) == ("request-1", "support")
    assert (found.assignments, found.attributes) == (ASSIGNED, {"tier": "gold"})
    assert found.received_at_us == NOW * 1e6


@given(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.booleans())
def test_numbers_and_booleans(value: float) -> None:
    (found,) = READER.read(json.dumps(piece(value=value)).encode(), credential(), NOW)
    assert found.value == value
    assert found.is_boolean is isinstance(value, bool)


def test_the_same_piece_has_the_same_id_and_another_one_has_another() -> None:
    def ids(*pieces: dict[str, Any]) -> list[str]:
        document = json.dumps({"feedback": pieces}).encode()
        return [one.event_id for one in READER.read(document, credential(), NOW)]

    same, again, score, other, given_ = ids(
        piece(),
        piece(value=False),
        piece(name="score"),
        piece(token=token(request_id="request-2")),
        piece(event_id="order-17"),
    )
    assert same == again
    assert len({same, score, other, given_}) == 4
    assert given_ == "order-17"


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"token": "forged"}, "token", "invalid_feedback_token"),
        ({"token": TOKEN[:-1]}, "token", "invalid_feedback_token"),
        ({"token": token(NOW - 86_401)}, "token", "expired_feedback_token"),
        ({"token": 5}, "token", "invalid_feedback"),
        ({"token": "x" * 5_000}, "token", "invalid_feedback"),
        ({"name": "Has Spaces"}, "name", "invalid_feedback"),
        ({"name": None}, "name", "invalid_feedback"),
        ({"value": "5"}, "value", "invalid_feedback"),
        ({"value": None}, "value", "invalid_feedback"),
        ({"value": 1_000_001}, "value", "invalid_feedback"),
        ({"value": -1e9}, "value", "invalid_feedback"),
        ({"value": 10**400}, "value", "invalid_feedback"),
        ({"event_id": ""}, "event_id", "invalid_feedback"),
        ({"event_id": "x" * 129}, "event_id", "invalid_feedback"),
        ({"event_id": 5}, "event_id", "invalid_feedback"),
        ({"comment": "nice"}, "comment", "invalid_feedback"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str, code: str) -> None:
    assert problems_of(piece(**changes)) == [(field, code)]
    assert problems_of({"feedback": [piece(), piece(**changes)]}) == [(f"feedback[1].{field}", code)]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", ""),
        (b"{", ""),
        (b"\xff", ""),
        ({"feedback": []}, "feedback"),
        ({"feedback": {}}, "feedback"),
        ({"feedback": [{}] * (MAX_ITEMS + 1)}, "feedback"),
        ({"feedback": [piece()], "token": TOKEN}, "feedback"),
        ({"feedback": [5]}, "feedback[0]"),
        ({}, "name"),
    ],
)
def test_bodies_of_another_shape(body: object, param: str) -> None:
    assert problems_of(body) == [(param, "invalid_feedback")]


def test_a_key_only_reports_on_its_routes() -> None:
    assert problems_of(piece(), credential("sales")) == [("token", "model_not_allowed")]
    assert len(READER.read(json.dumps(piece()).encode(), credential("support"), NOW)) == 1


def test_the_error_tells_every_problem_up_to_a_number() -> None:
    bad = [piece(value="no")] * (MOST_PROBLEMS + 5)
    with pytest.raises(InvalidFeedback) as raised:
        READER.read(json.dumps({"feedback": [piece(), *bad]}).encode(), credential(), NOW)
    error = json.loads(body_of(raised.value))["error"]
    assert (error["param"], error["code"]) == ("feedback[1].value", "invalid_feedback")
    assert error["message"].startswith("feedback[1].value: must be a number")
    assert [one["index"] for one in error["details"]] == list(range(1, MOST_PROBLEMS + 1))


def test_a_number_that_is_too_large_wants_a_larger_unit() -> None:
    with pytest.raises(InvalidFeedback, match="between -1,000,000 and 1,000,000; report it in a larger unit"):
        READER.read(json.dumps(piece(value=1e9)).encode(), credential(), NOW)


names = st.sampled_from(["token", "name", "value", "feedback", "event_id"])
bodies = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
)


@given(bodies)
def test_no_body_is_more_than_refused(body: Any) -> None:
    with pytest.raises(InvalidFeedback):
        READER.read(json.dumps(body).encode(), credential(), NOW)


def test_what_json_has_no_number_for() -> None:
    for value in (math.nan, math.inf):
        assert problems_of(piece(value=value))
