"""How much alike two answers are.

Exact is letter for letter, tool calls included. Normalised forgives what no reader would call a difference:
white space, case and the form of letters in a text; the order of members, white space and the spelling of
numbers in JSON, a fence around it, and what the experiment ignores. Similarity is 1 − Indel distance over
the length of both, of the first 4,000 characters of what was normalised.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from rapidfuzz import fuzz

from services.domain.events import Likeness

COMPARED_CHARACTERS = 4_000
"""The time that similarity takes grows with the square of this: at 4,000 it is half a millisecond."""

_FENCE = re.compile(r"\A\s*```[a-zA-Z0-9]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError)
_EVERY = "*"


class ToolCall(NamedTuple):
    """A function that an answer asks to be called; ``arguments`` as the model spelled them."""

    name: str
    arguments: str


class AnswerText(NamedTuple):
    """What is compared of an answer."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()


def likeness(one: AnswerText, other: AnswerText, ignored: Sequence[str] = ()) -> Likeness:
    """Compare two answers; ``ignored`` are JSON pointers, in which ``*`` stands for every item of a list."""
    if one == other:
        return Likeness(True, True, 1.0, True if one.tool_calls else None)
    paths = [_steps(pointer) for pointer in ignored]
    texts = _normalised_pair(one.text, other.text, paths)
    calls = sorted(_spelled(one, paths)), sorted(_spelled(other, paths))
    same_calls = calls[0] == calls[1]
    alike = texts[0] == texts[1] and same_calls
    spelled = ["\n".join((text, *asked)) for text, asked in zip(texts, calls, strict=True)]
    return Likeness(
        exact=False,
        normalised=alike,
        similarity=1.0 if alike else _similarity(*spelled),
        tool_calls=same_calls if one.tool_calls or other.tool_calls else None,
    )


def normalised_text(text: str) -> str:
    """Return a text without differences of white space, case and the form of letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def canonical_json(text: str, paths: Sequence[Sequence[str]] = ()) -> str | None:
    """Return an object or a list in one spelling, without what lies at ``paths``; None for anything else."""
    fenced = _FENCE.match(text)
    document = (fenced[1] if fenced else text).strip()
    if not document.startswith(("{", "[")):
        return None
    try:
        value = _decode(document)
        for path in paths:
            _remove(value, path)
        return unicodedata.normalize("NFC", _encode(_plain(value)).decode())
    except _NOT_JSON:
        return None


def _normalised_pair(one: str, other: str, paths: Sequence[Sequence[str]]) -> tuple[str, str]:
    canonical = canonical_json(one, paths), canonical_json(other, paths)
    if canonical[0] is not None and canonical[1] is not None:
        return canonical[0], canonical[1]
    return normalised_text(one), normalised_text(other)


def _spelled(answer: AnswerText, paths: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"{call.name}({canonical_json(call.arguments, paths) or normalised_text(call.arguments)})"
        for call in answer.tool_calls
    ]


def _similarity(one: str, other: str) -> float:
    return float(fuzz.ratio(one[:COMPARED_CHARACTERS], other[:COMPARED_CHARACTERS])) / 100.0


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _remove(value: Any, path: Sequence[str]) -> None:
    step, *rest = path
    if isinstance(value, dict):
        if rest and step in value:
            _remove(value[step], rest)
        elif not rest:
            value.pop(step, None)
    elif isinstance(value, list):
        for item in _items(value, step) if rest else ():
            _remove(item, rest)
        if not rest:
            value[:] = [item for i, item in enumerate(value) if step not in (_EVERY, str(i))]


def _items(items: list[Any], step: str) -> list[Any]:
    return [item for i, item in enumerate(items) if step in (_EVERY, str(i))]


def _plain(value: Any) -> Any:
    """Return the value with whole numbers spelled as such."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
