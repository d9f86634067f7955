"""YAML that remembers where everything stands, and takes nothing for something it does not look like.

Scalars are those of YAML 1.2: ``no`` and ``on`` are words, ``1e-3`` is a number, a date is text. A key that
is there twice is an error, and so are tags, merge keys, and aliases that would not end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.cli.files.scalars import BOOL, FLOAT, INT, NULL, RESOLVERS, STR

MAX_VALUES = 100_000
"""In one document: an alias of aliases of aliases would fill the memory."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; both count from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: yaml.Mark) -> Place:
        """Return a place as people count."""
        return cls(mark.line + 1, mark.column + 1)


class FaultyYaml(Exception):
    """The text is not what it has to be, at a place."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


@dataclass(frozen=True, slots=True)
class Located:
    """A value, and where each part of it stands by its dotted path, as the api names fields: ``steps[1]``."""

    value: Any
    places: Mapping[str, Place] = field(default_factory=dict)

    def place(self, path: str) -> Place:
        """Return where a field stands; where a missing one would stand, for what is not there."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places[path]


class _Loader(yaml.SafeLoader):
    """Composes nodes with the tags of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - yaml's own name


for _tag, _pattern, _first in RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)


def read_documents(text: str) -> Iterator[Located]:
    """Return each document of a file that is not empty. Raises FaultyYaml where one cannot be read."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            if not _is_empty(node):
                yield _Reading().read(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place.of(mark) if mark else Place(1, 1)
        raise FaultyYaml(place, f"is not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise FaultyYaml(Place(line, 1), f"is not YAML: {error.reason}") from error
    except RecursionError:
        raise FaultyYaml(Place(1, 1), "is nested too deeply") from None


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == NULL and node.value == ""


class _Reading:
    """One document on its way from nodes to values."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._open: set[int] = set()

    def read(self, node: yaml.Node) -> Located:
        """Return the document."""
        return Located(self._value(node, "", Place.of(node.start_mark)), self._places)

    def _value(self, node: yaml.Node, path: str, place: Place) -> Any:
        self._places[path] = place
        if len(self._places) > MAX_VALUES:
            raise FaultyYaml(place, f"has more than {MAX_VALUES:,} values")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            raise FaultyYaml(place, "contains itself through an alias")
        self._open.add(id(node))
        try:
            return self._collection(node, path)
        finally:
            self._open.discard(id(node))

    def _collection(self, node: yaml.Node, path: str) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            items = enumerate(node.value)
            return [self._value(one, f"{path}[{i}]", Place.of(one.start_mark)) for i, one in items]
        raise FaultyYaml(Place.of(node.start_mark), f"has the tag {node.tag}, which nothing here understands")

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in node.value:
            place = Place.of(name.start_mark)
            key = self._key(name, place)
            if key in found:
                raise FaultyYaml(place, f"{key!r} is here twice")
            found[key] = self._value(value, f"{path}.{key}".removeprefix("."), place)
        return found

    def _key(self, node: yaml.Node, place: Place) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise FaultyYaml(place, "a key must be a word")
        if node.value == "<<":
            raise FaultyYaml(place, "merge keys are not understood; write the fields out")
        return str(node.value)


def _scalar(node: yaml.ScalarNode) -> Any:
    value: str = node.value
    match node.tag:
        case tag if tag == NULL:
            return None
        case tag if tag == BOOL:
            return value.lower() == "true"
        case tag if tag == INT:
            return _whole(node)
        case tag if tag == FLOAT:
            return float(value)
        case tag if tag == STR:
            return value
    raise FaultyYaml(Place.of(node.start_mark), f"has the tag {node.tag}, which nothing here understands")


def _whole(node: yaml.ScalarNode) -> int:
    try:
        return int(node.value)
    except ValueError:  # Python refuses thousands of digits
        raise FaultyYaml(Place.of(node.start_mark), "is too large a number") from None
