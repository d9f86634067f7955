"""What is asked and what is answered: the same bytes for every contender.

Requests differ only in the header that names their unit, so that an experiment has somebody to assign, and
in ``model``, which is each contender's own name for the upstream. (The unit is not in the body's ``user``
because TensorZero would write a warning to its log for each request.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

EVENTS = 50
"""Server-sent events of a streamed answer: words, the finish, the usage, ``[DONE]``."""
UNITS = 1_000
END_OF_ANSWER = "the-end-of-the-answer"
"""Part of every whole answer's text; a response without it is an error."""

_PARAGRAPH = (
    'The gate opens for water that runs clear, and shuts before a flood comes through it. "Who holds it?" '
    "asked the miller — nobody does; the float does.\nIt rises, it falls: 0.75 m, 1.20 m, 0.81 m.\t"
)
_SMALL_REQUEST_BYTES = 800
_LARGE_REQUEST_BYTES = 98_000
_ANSWER_BYTES = 650
_TURNS = 21


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request. ``events`` is what a streamed answer must hold, 0 where it is not streamed."""

    name: str
    label: str
    prompt: tuple[dict[str, str], ...]
    events: int = 0

    def body(self, model: str) -> bytes:
        """Return one request's body."""
        document: dict[str, Any] = {"model": model, "messages": self.prompt, "max_tokens": 256}
        if self.events:
            document |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _text(size: int) -> str:
    return (_PARAGRAPH * (size // len(_PARAGRAPH) + 1))[:size]


def _conversation(size: int) -> tuple[dict[str, str], ...]:
    text, roles = _text(size // _TURNS), ("user", "assistant")
    return tuple({"role": roles[turn % 2], "content": text} for turn in range(_TURNS))


_SMALL = (
    {"role": "system", "content": "Answer as a miller would."},
    {"role": "user", "content": _text(_SMALL_REQUEST_BYTES)},
)

NON_STREAMING = Workload("non_streaming", "non-streaming, 1 KB", _SMALL)
STREAMING = Workload("streaming", f"streaming, {EVENTS} events", _SMALL, EVENTS)
BODY_100KB = Workload("body_100kb", "100 KB request body", _conversation(_LARGE_REQUEST_BYTES))
WORKLOADS = (NON_STREAMING, STREAMING, BODY_100KB)

_HEAD = {"id": "chatcmpl-bench-0001", "created": 1_700_000_000, "model": "static"}
_USAGE = {"prompt_tokens": 200, "completion_tokens": 150, "total_tokens": 350}


def whole_answer() -> bytes:
    """Return the answer as one JSON document of about a kilobyte."""
    text = f"{_text(_ANSWER_BYTES)} {END_OF_ANSWER}"
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return _encode(_HEAD | {"object": "chat.completion", "choices": [choice], "usage": _USAGE})


def answer_events() -> list[bytes]:
    """Return the streamed answer's server-sent events."""
    words = EVENTS - 3
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"content": f"word{n:02d} "}, None) for n in range(words)
    ]
    deltas[0][0]["role"] = "assistant"
    deltas.append(({}, "stop"))
    chunks = [
        _chunk([{"index": 0, "delta": delta, "finish_reason": reason}], None) for delta, reason in deltas
    ]
    return [*chunks, _chunk([], _USAGE), b"data: [DONE]\n\n"]


def _chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None) -> bytes:
    chunk = _HEAD | {"object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return b"data: " + _encode(chunk) + b"\n\n"


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
