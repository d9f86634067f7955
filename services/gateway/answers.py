"""What the gateway reads out of answers: token counts, and whether the content filter spoke."""

from __future__ import annotations

import re
from typing import Any

import msgspec

CONTENT_FILTER = "content_filter"


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    code: Any = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    choices: list[_Choice] | None = None
    error: _Error | str | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class Reading:
    """What has been seen so far of one answer."""

    __slots__ = ("completion_tokens", "content_filtered", "error", "prompt_tokens")

    def __init__(self) -> None:
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.content_filtered = False
        self.error = False

    def read(self, document: bytes | memoryview) -> None:
        """Read a whole JSON answer, or the data of one event. What is not understood changes nothing."""
        try:
            answer = _decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if answer.usage is not None:
            self.prompt_tokens = answer.usage.prompt_tokens
            self.completion_tokens = answer.usage.completion_tokens
        if answer.choices and any(choice.finish_reason == CONTENT_FILTER for choice in answer.choices):
            self.content_filtered = True
        if answer.error is not None:
            self.error = True
            if isinstance(answer.error, _Error) and answer.error.code == CONTENT_FILTER:
                self.content_filtered = True


_WORTH_READING = re.compile(rb'"usage"\s*:\s*\{|"content_filter"|"error"\s*:\s*[{"]')
_DATA = b"data:"
_LONGEST_LINE = 1024 * 1024


class StreamReading(Reading):
    """Reads a stream of events as it passes by. Chunks may cut lines anywhere."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk; only lines that may hold something of interest are decoded."""
        if self._rest:
            chunk = self._rest + chunk
        end = chunk.rfind(b"\n") + 1
        self._rest = chunk[end:] if len(chunk) - end <= _LONGEST_LINE else b""
        if _WORTH_READING.search(chunk, 0, end) is None:
            return
        for line in chunk[:end].splitlines():
            if line.startswith(_DATA) and _WORTH_READING.search(line) is not None:
                self.read(line[len(_DATA) :].strip())
