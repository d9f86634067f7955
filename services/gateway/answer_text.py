"""What an answer says in the end: its text and the tool calls it asks for, whole or put together of events.

One shape covers the surfaces that answer in words: whole chat and text completions and their chunks, and
responses, whose last event holds the whole answer.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from services.domain.likeness import AnswerText, ToolCall


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    message: _Message | None = None
    delta: _Message | None = None


class _Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[_Part] | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    output: list[_Item] | None = None
    response: _Answer | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
_event = re.compile(rb".+?(?:\n\n|\n\r\n|\r\r|\Z)", re.DOTALL).findall
_data = re.compile(rb"^data:[ ]?([^\r\n]*)", re.MULTILINE).findall
_deltas = re.compile(rb'"type"\s*:\s*"response\.(?!completed|incomplete)').search
"""Events of responses whose contents the last one repeats."""
_FUNCTION_CALL = "function_call"


class AnswerReader:
    """Puts an answer together. ``text`` is None as long as nothing of an answer was understood."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._calls: dict[tuple[int, int], tuple[list[str], list[str]]] = {}
        self._understood = False

    def read_whole(self, document: bytes) -> None:
        """Read a whole answer. What is not understood says nothing."""
        try:
            self._take(_decode(document))
        except _UNREADABLE:
            return

    def read_events(self, piece: bytes) -> None:
        """Read whole server-sent events."""
        for event in _event(piece):
            if _deltas(event) is None:
                self.read_whole(b"\n".join(_data(event)))

    @property
    def text(self) -> AnswerText | None:
        """What was read so far."""
        if not self._understood:
            return None
        texts = ["".join(parts) for _, parts in sorted(self._texts.items())]
        calls = [ToolCall("".join(name), "".join(given)) for _, (name, given) in sorted(self._calls.items())]
        return AnswerText("\n".join(texts), tuple(calls))

    def _take(self, answer: _Answer) -> None:
        if answer.response is not None:
            self._take(answer.response)
        for choice in answer.choices or ():
            self._understood = True
            self._take_choice(choice)
        for place, item in enumerate(answer.output or ()):
            self._understood = True
            self._take_item(place, item)

    def _take_choice(self, choice: _Choice) -> None:
        self._add(choice.index, choice.text)
        for message in (choice.message, choice.delta):
            if message is None:
                continue
            self._add(choice.index, _words(message.content))
            self._add(choice.index, message.refusal)
            for place, call in enumerate(message.tool_calls or ()):
                self._add_call(choice.index, place if call.index is None else call.index, call.function)

    def _take_item(self, place: int, item: _Item) -> None:
        if item.type == _FUNCTION_CALL:
            self._add_call(0, place, _Function(item.name, item.arguments))
        for part in item.content or ():
            self._add(place, part.text)
            self._add(place, part.refusal)

    def _add(self, choice: int, text: str | None) -> None:
        if text:
            self._texts.setdefault(choice, []).append(text)

    def _add_call(self, choice: int, place: int, function: _Function | None) -> None:
        name, arguments = self._calls.setdefault((choice, place), ([], []))
        if function is not None:
            name.append(function.name or "")
            arguments.append(function.arguments or "")


def _words(content: Any) -> str | None:
    """Return a message's content where it is text, or parts that have text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))
