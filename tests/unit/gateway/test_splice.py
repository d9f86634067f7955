"""Splicing is parsing, changing and writing, except that everything else keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import splice as module
from services.gateway.splice import open_object, splice
from tests.unit.gateway.shapes import json_values, spellings

CHANGED = ("model", "messages", "stream_options", "temperature", "added", "näme")


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def spliced(document: bytes, **changes: Any) -> bytes:
    return splice(document, open_object(document), {name: raw(value) for name, value in changes.items()})


@given(spellings(), st.dictionaries(st.sampled_from(CHANGED), json_values, max_size=4))
def test_it_parses_as_if_parsed_and_changed(document: bytes, changes: dict[str, Any]) -> None:
    assert json.loads(spliced(document, **changes)) == json.loads(document) | changes


@given(spellings(), st.dictionaries(st.sampled_from(CHANGED), json_values, min_size=1, max_size=4))
def test_what_was_changed_can_be_changed_back_byte_for_byte(document: bytes, changes: dict[str, Any]) -> None:
    members = open_object(document)
    replaced = {name: raw(value) for name, value in changes.items() if name in members}
    result = splice(document, members, replaced)
    back = {name: members[name] for name in replaced}
    assert splice(result, open_object(result), back) == document


@given(spellings())
def test_what_is_added_is_all_that_is_added(document: bytes) -> None:
    result = spliced(document, added=[1])
    at = result.index(b'"added":[1]')
    before, after = result[:at], result[at + len(b'"added":[1]') :]
    assert before.removesuffix(b",") + after == document


@given(spellings())
def test_both_ways_of_splicing_say_the_same(document: bytes) -> None:
    members, changes = open_object(document), {"model": raw("m"), "added": raw({"x": 1})}
    assert module._spliced_by_walking(document, members, changes) == splice(document, members, changes)


@given(spellings())
def test_without_changes_nothing_changes(document: bytes) -> None:
    assert spliced(document) is document


@pytest.mark.parametrize(
    "value",
    [
        '{"b" : 1.00,  "a":1e3}',
        '"\\u00e9é\\/\\ud83d\\ude00"',
        "12345678901234567890123",
        "1e400",
        "1.0",
        "[ 1,\n2 ]",
        '{"x":1,"x":2}',
        "-0.0",
        '"a\xff"',
    ],
)
@pytest.mark.parametrize("form", ['{"model":"r","k":%s}', '{ "k" : %s ,\n "model"\t: "r" } '])
def test_values_keep_their_bytes(value: str, form: str) -> None:
    document = (form % value).encode("latin-1" if "\xff" in value else "utf-8")
    assert spliced(document, model="m") == document.replace(b'"r"', b'"m"')


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('{"model":"a","model":"b"}', '{"model":"m","model":"m"}'),
        ('{"model":"b","x":1,"model":"b"}', '{"model":"m","x":1,"model":"m"}'),
        ('{"model":{"model":["}","\\"]"]},"k":[{}],"model":"b"}', '{"model":"m","k":[{}],"model":"m"}'),
        ('{"model":12,"model":1}', '{"model":"m","model":"m"}'),
        ('{"model": true ,"model":null}', '{"model": "m" ,"model":"m"}'),
        ('{"mod\\u0065l":"a","model":"b"}', '{"mod\\u0065l":"m","model":"m"}'),
        ('{"mod\\u0065l":"a","x":{"model":"b"}}', '{"mod\\u0065l":"m","x":{"model":"b"}}'),
        ('{"x":"1, \\"model\\": 2","x":"1","model":"b"}', '{"x":"1, \\"model\\": 2","x":"1","model":"m"}'),
    ],
)
def test_every_occurrence_of_a_name_is_changed(document: str, expected: str) -> None:
    assert spliced(document.encode(), model="m") == expected.encode()


@given(st.lists(st.tuples(st.sampled_from(["model", "a", "b"]), json_values), max_size=6))
def test_names_that_repeat(members: list[tuple[str, Any]]) -> None:
    document = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members) + "}"
    result = json.loads(spliced(document.encode(), model="m", a=None), object_pairs_hook=list)
    wanted = {"model": "m", "a": None}
    expected = [(name, wanted.get(name, value)) for name, value in members]
    expected += [(name, value) for name, value in wanted.items() if name not in dict(members)]
    assert result == [(name, _as_pairs(value)) for name, value in expected]


def _as_pairs(value: Any) -> Any:
    if isinstance(value, dict):
        return [(name, _as_pairs(inner)) for name, inner in value.items()]
    return [_as_pairs(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("document", "expected"), [("{}", '{"a":1}'), (" { \n} ", ' {"a":1 \n} ')])
def test_an_empty_object(document: str, expected: str) -> None:
    assert spliced(document.encode(), a=1) == expected.encode()
