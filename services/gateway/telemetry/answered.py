"""What the beginning of an answer says of itself: which model gave it, and its id."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_data = re.compile(rb"^data:[ ]?(\{[^\r\n]*)", re.MULTILINE).search


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class Said(msgspec.Struct):
    """The first object of an answer."""

    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    response: Said | None = None

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why it ended, where it is whole."""
        return tuple(choice.finish_reason for choice in self.choices or () if choice.finish_reason)


_decode = msgspec.json.Decoder(Said).decode


def read(first: bytes) -> Said:
    """Read a whole answer, or the first piece of a stream; what is not understood says nothing."""
    event = _data(first)
    try:
        said = _decode(first if event is None else event[1])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Said()
    return said.response or said
