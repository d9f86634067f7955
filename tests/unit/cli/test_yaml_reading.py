"""`services/cli/files/yaml_reading.py`: YAML that remembers where everything stands."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.files.yaml_reading import FaultyYaml, Place, read_documents
from services.cli.files.yaml_writing import as_documents, as_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inside: (
        st.lists(inside, max_size=4) | st.dictionaries(TEXTS.filter(lambda key: key != "<<"), inside)
    ),
    max_leaves=15,
)


def read(text: str) -> Any:
    (document,) = read_documents(text)
    return document.value


@given(st.dictionaries(st.just("key"), JSON, min_size=1))
def test_what_is_written_is_read_again(value: Any) -> None:
    assert read(as_yaml(value)) == value


@given(st.lists(st.dictionaries(st.just("key"), JSON, min_size=1), min_size=1, max_size=4))
def test_documents_keep_apart(values: list[Any]) -> None:
    assert [one.value for one in read_documents(as_documents(values))] == values


@given(st.dictionaries(st.just("key"), JSON, min_size=1), st.text("ab.[]01", max_size=12))
def test_every_field_has_a_place_and_so_has_what_is_missing(value: Any, path: str) -> None:
    text = as_yaml(value)
    (document,) = read_documents(text)
    lines = text.count("\n") + 1
    assert 1 <= document.place(path).line <= lines
    assert 1 <= document.place(f"key.{path}").line <= lines


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("010", 10),
        ("1:30", "1:30"),
        ("2026-11-20", "2026-11-20"),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("1_000", "1_000"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


def test_places_are_those_of_keys_and_items() -> None:
    (document,) = read_documents("a:\n  b:\n    - 1\n    -   c: 2\n")
    assert document.place("a.b") == Place(2, 3)
    assert document.place("a.b[1]") == Place(4, 9)
    assert document.place("a.b[1].c") == Place(4, 9)
    assert document.place("a.b[7].missing") == Place(2, 3)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is here twice"),
        ("a: [1, 2\nb: 3", 2, "is not YAML"),
        ("a: 1\n\tb: 2", 2, "is not YAML"),
        ("a: !!python/object:os.system {}", 1, "has the tag"),
        ("a: !secret x", 1, "has the tag"),
        ("a: &x\n  b: *x\n", 2, "contains itself"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", 3, "merge keys"),
        ("? [a]\n: 1\n", 1, "a key must be a word"),
        ("a: \x00", 1, "is not YAML"),
        ("a: " + "9" * 5000, 1, "is too large a number"),
        ("[" * 5000, 1, "is nested too deeply"),
    ],
)
def test_a_fault_says_where_it_is(text: str, line: int, message: str) -> None:
    with pytest.raises(FaultyYaml) as caught:
        list(read_documents(text))
    assert caught.value.place.line == line
    assert message in caught.value.message


def test_aliases_do_not_fill_the_memory() -> None:
    doubled = "\n".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))
    with pytest.raises(FaultyYaml, match="more than 100,000 values"):
        list(read_documents(f"a0: &a0 1\n{doubled}\n"))


def test_empty_documents_are_none() -> None:
    assert [one.value for one in read_documents("---\n---\na: 1\n---\n# nothing\n")] == [{"a": 1}]
