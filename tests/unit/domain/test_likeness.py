"""How much alike two answers are: worked examples, and what holds for any two."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import Likeness
from services.domain.likeness import (
    COMPARED_CHARACTERS,
    AnswerText,
    ToolCall,
    canonical_json,
    likeness,
    normalised_text,
)

TEXTS = st.text(max_size=60)
CALLS = st.lists(st.builds(ToolCall, TEXTS, TEXTS), max_size=2).map(tuple)
ANSWERS = st.builds(AnswerText, TEXTS, CALLS)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def said(text: str, *calls: tuple[str, str]) -> AnswerText:
    return AnswerText(text, tuple(ToolCall(*call) for call in calls))


SAME = Likeness(False, True, 1.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello  World\n", "hello world"),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "straße"),
        ("１２", "12"),
        ('{"a": 1, "b": [2.0]}', '{"b":[2],"a":1.0}'),
        ('{"a": 1}', '```json\n{"a":1}\n```'),
        ('{"é": 1}', '{"e\u0301": 1}'),
    ],
)
def test_what_no_reader_would_call_a_difference(one: str, other: str) -> None:
    assert likeness(said(one), said(other)) == SAME


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yes", "no"),
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": "X"}', '{"a": "x"}'),
        ("[1, 2]", "[2, 1]"),
        ("1", "1.0"),
    ],
)
def test_what_is_different(one: str, other: str) -> None:
    found = likeness(said(one), said(other))
    assert (found.exact, found.normalised) == (False, False)
    assert found.similarity < 1.0


def test_similarity_is_by_letters_that_need_not_change() -> None:
    # One letter of eight on each side is replaced: 1 − 2/16.
    assert likeness(said("aaaaaaab"), said("aaaaaaac")).similarity == pytest.approx(1 - 2 / 16)
    assert likeness(said("abc"), said("xyz")).similarity == 0.0


def test_only_the_beginning_of_long_answers_is_similar_or_not() -> None:
    start = "word " * (COMPARED_CHARACTERS // 5)
    found = likeness(said(start + "one"), said(start + "other"))
    assert (found.normalised, found.similarity) == (False, 1.0)


def test_tool_calls() -> None:
    paris, rome = ("weather", '{"city": "Paris", "days": 2}'), ("weather", '{"city": "Rome"}')
    respelled = ("weather", '{"days":2.0,"city":"Paris"}')
    assert likeness(said("", paris), said("", respelled)) == Likeness(False, True, 1.0, True)
    assert likeness(said("", paris, rome), said("", rome, respelled)).tool_calls is True
    assert likeness(said("", paris), said("", rome)).tool_calls is False
    assert likeness(said("Paris"), said("Paris", paris)).tool_calls is False
    assert likeness(said("Paris", paris), said("Paris", paris)) == Likeness(True, True, 1.0, True)


def test_what_is_ignored() -> None:
    one = '{"id": "x", "a/b": 1, "items": [{"at": 1, "v": 5}, {"at": 2, "v": 6}], "list": [1, 9]}'
    other = '{"id": "y", "a/b": 2, "items": [{"at": 3, "v": 5}, {"at": 4, "v": 6}], "list": [1, 8]}'
    assert not likeness(said(one), said(other), ["/id", "/items/*/at", "/list/1"]).normalised
    assert likeness(said(one), said(other), ["/id", "/a~1b", "/items/*/at", "/list/1"]) == SAME
    assert likeness(
        said("", ("f", one)), said("", ("f", other)), ["/id", "/a~1b", "/items", "/list"]
    ).tool_calls


@pytest.mark.parametrize("text", ["", "plain", "{", "[1", "3", '"text"', "[" * 100_000, "{'a': 1}"])
def test_what_is_no_json(text: str) -> None:
    assert canonical_json(text) is None


@given(ANSWERS)
def test_an_answer_is_like_itself(answer: AnswerText) -> None:
    assert likeness(answer, answer) == Likeness(True, True, 1.0, True if answer.tool_calls else None)


@given(ANSWERS, ANSWERS)
def test_likeness_has_no_direction(one: AnswerText, other: AnswerText) -> None:
    there, back = likeness(one, other), likeness(other, one)
    assert there == back
    assert 0.0 <= there.similarity <= 1.0
    assert there.exact <= there.normalised <= (there.similarity == 1.0)


@given(JSON)
def test_json_has_one_spelling(value: Any) -> None:
    wrapped = {"value": value}
    spellings = [
        json.dumps(wrapped, indent=2),
        json.dumps(wrapped, sort_keys=True, ensure_ascii=False),
        json.dumps(dict(reversed(wrapped.items()))),
    ]
    assert len({canonical_json(spelling) for spelling in spellings}) == 1


@given(TEXTS)
def test_normalising_again_changes_nothing_in_plain_text(text: str) -> None:
    plain = normalised_text(text.encode("ascii", "ignore").decode())
    assert normalised_text(plain) == plain
