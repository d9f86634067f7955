"""Files as documents: one definition each, with the place of everything in it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.files.kinds import KINDS
from services.cli.files.yaml_reading import FaultyYaml, Located, Place, read_documents

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, and where."""

    file: str
    place: Place
    document: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.place.line}:{self.place.column}: document {self.document}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class FaultyFiles(Exception):
    """Files cannot be used as they are; nothing was done."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Document:
    """One definition: its kind, and the body that the api takes."""

    file: str
    number: int
    located: Located
    kind: str
    body: Mapping[str, Any]
    start: bool = False

    @property
    def key(self) -> str:
        """The key of what is defined; empty where there is none to be read."""
        key = self.body.get("key")
        return key if isinstance(key, str) else ""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.kind}/{self.key}"

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.located.place(self.kind).line

    def fault(self, field: str, message: str) -> Fault:
        """Return a fault of a field of the body; of the whole body, where the field is empty."""
        separator = "" if not field or field.startswith("[") else "."
        path = f"{self.kind}{separator}{field}"
        return Fault(self.file, self.located.place(path), self.number, path, message)


def read_files(paths: Iterable[str]) -> list[Document]:
    """Return the documents of files and directories; ``-`` is standard input. Raises FaultyFiles."""
    documents: list[Document] = []
    faults: list[Fault] = []
    for name, text in _texts(paths):
        read, wrong = parse(name, text)
        documents += read
        faults += wrong
    faults += _twice(documents)
    if faults:
        raise FaultyFiles(faults)
    return sorted(documents, key=lambda one: KINDS.index(one.kind))


def parse(file: str, text: str) -> tuple[list[Document], list[Fault]]:
    """Return the documents of one text, and what is wrong with those that are none."""
    documents: list[Document] = []
    faults: list[Fault] = []
    number = 0
    try:
        for number, located in enumerate(read_documents(text), start=1):
            fault = _misshapen(file, number, located)
            if fault is None:
                documents.append(_document(file, number, located))
            else:
                faults.append(fault)
    except FaultyYaml as error:
        faults.append(Fault(file, error.place, number + 1, "", error.message))
    return documents, faults


def _texts(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path == "-":
            yield "standard input", sys.stdin.read()
            continue
        found = _files(Path(path))
        if not found:
            raise FaultyFiles([_of_file(path, "has no files that end in .yaml, .yml or .json")])
        for one in found:
            yield str(one), _text(one)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = (one for one in path.rglob("*") if one.is_file() and one.suffix in _SUFFIXES)
    return sorted(one for one in inside if not _is_hidden(one.relative_to(path)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FaultyFiles([_of_file(str(path), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise FaultyFiles([_of_file(str(path), "is not text in UTF-8")]) from error


def _of_file(file: str, message: str) -> Fault:
    return Fault(file, Place(1, 1), 1, "", message)


def _misshapen(file: str, number: int, located: Located) -> Fault | None:
    """Return why a value is no document, or None where it is one."""
    wrong = _wrong_with(located.value)
    return wrong and Fault(file, located.place(wrong[0]), number, *wrong)


def _wrong_with(value: Any) -> tuple[str, str] | None:
    """Return the field of a document that is wrong, and how; None where none is."""
    kinds = ", ".join(KINDS)
    if not isinstance(value, dict):
        return "", f"must have one key, which names the kind: {kinds}"
    unknown = [name for name in value if name not in (*KINDS, "start")]
    if unknown:
        return unknown[0], f"unknown field; a document is one of {kinds}"
    found = [name for name in value if name in KINDS]
    if len(found) != 1:
        return "", f"must define exactly one of {kinds}, and defines {' and '.join(found) or 'nothing'}"
    if not isinstance(value[found[0]], dict):
        return found[0], "must hold the fields of the definition"
    return _wrong_with_start(found[0], value.get("start", False))


def _wrong_with_start(kind: str, start: Any) -> tuple[str, str] | None:
    if not isinstance(start, bool):
        return "start", "must be true or false"
    if start and kind != "experiment":
        return "start", "only an experiment can be started"
    return None


def _document(file: str, number: int, located: Located) -> Document:
    value = located.value
    kind = next(name for name in value if name in KINDS)
    return Document(file, number, located, kind, value[kind], value.get("start", False))


def _twice(documents: Iterable[Document]) -> Iterator[Fault]:
    first: dict[str, Document] = {}
    for document in documents:
        before = first.setdefault(document.name, document)
        if before is not document and document.key:
            yield document.fault("key", f"{document.name} is defined in {before.file}:{before.line} already")
