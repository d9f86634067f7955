"""The JSON that requests and answers are read as: only the fields that somebody looks at.

One shape covers the answers of all surfaces: whole answers, the chunks of chat and text completions, and the
events of responses, which wrap the answer in ``response``. They are in a module of their own because msgspec
reads their annotations, which compiling does not keep (docs/decisions/0017-compiled-gateway.md).
"""

from __future__ import annotations

from typing import Any

import msgspec


class StreamOptions(msgspec.Struct):
    """``stream_options`` of a request."""

    include_usage: bool | None = None


class Usage(msgspec.Struct):
    """Token counts, under the names of either kind of surface."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    # Of any shape: what is wrong with a detail must not cost us the rest.
    prompt_tokens_details: Any = None
    input_tokens_details: Any = None


class AnswerChoice(msgspec.Struct):
    """One of ``choices``."""

    finish_reason: str | None = None


class Problem(msgspec.Struct):
    """What went wrong, or why an answer is incomplete."""

    code: Any = None
    reason: str | None = None


class AnswerJson(msgspec.Struct):
    """An answer, or an event of one."""

    type: str | None = None
    code: Any = None
    usage: Usage | None = None
    choices: list[AnswerChoice] | None = None
    error: Problem | str | None = None
    incomplete_details: Problem | None = None
    response: AnswerJson | None = None


decode_answer = msgspec.json.Decoder(AnswerJson).decode
decode_stream_options = msgspec.json.Decoder(StreamOptions | None).decode
