"""The simulated answers, in OpenAI's and Azure OpenAI's form."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from services.demo.provider_behaviour import Fault

_encode = msgspec.json.Encoder().encode
_TEXT = "the gate opens for water that runs clear and shuts before a flood comes through it"
_WORDS = tuple(_TEXT.split(" "))
_CREATED = 1_700_000_000
_numbers = itertools.count(1)

REFUSALS = {
    Fault.RATE_LIMIT: (429, "rate_limit_exceeded", "Rate limit reached (simulated)."),
    Fault.UNAUTHORIZED: (401, "invalid_api_key", "Incorrect API key provided (simulated)."),
    Fault.FORBIDDEN: (403, "permission_denied", "Not allowed (simulated)."),
    Fault.NOT_FOUND: (404, "model_not_found", "The model does not exist (simulated)."),
    Fault.BAD_REQUEST: (400, "invalid_value", "Invalid value (simulated)."),
    Fault.UNPROCESSABLE: (422, "unprocessable_entity", "Cannot be processed (simulated)."),
    Fault.CONTENT_FILTER_400: (400, "content_filter", "The prompt was filtered (simulated)."),
    Fault.TIMEOUT_408: (408, "timeout", "The request timed out (simulated)."),
}
"""Faults that are a complete answer: status, code, message."""


def error(status: int, code: str, message: str) -> bytes:
    """Return an error's body."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


class Completion:
    """One answer: the same words for the same number of tokens."""

    def __init__(self, model: str, tokens: int, prompt_bytes: int, *, filtered: bool) -> None:
        self._id = f"chatcmpl-sim-{next(_numbers)}"
        self._model = model
        self._filtered = filtered
        self._tokens = 0 if filtered else tokens
        prompt_tokens = max(1, prompt_bytes // 4)
        self.usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": self._tokens,
            "total_tokens": prompt_tokens + self._tokens,
        }

    @property
    def _finish_reason(self) -> str:
        return "content_filter" if self._filtered else "stop"

    def _words(self) -> list[str]:
        return [f"{_WORDS[i % len(_WORDS)]} " for i in range(self._tokens)]

    def _document(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": _CREATED,
            "model": self._model,
            "choices": choices,
        }

    def whole(self) -> bytes:
        """Return the answer as one JSON document."""
        message = {"role": "assistant", "content": "".join(self._words()), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason, "logprobs": None}
        return _encode(self._document("chat.completion", [choice]) | {"usage": self.usage})

    def events(self, *, with_usage: bool) -> list[bytes]:
        """Return the answer as server-sent events: one a token, the finish, the usage if wanted, the end."""
        extra: dict[str, Any] = {"usage": None} if with_usage else {}
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
        deltas += [({"content": word}, None) for word in self._words()]
        deltas += [({}, self._finish_reason)]
        events = [
            self._event([{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}], extra)
            for delta, reason in deltas
        ]
        if with_usage:
            events.append(self._event([], {"usage": self.usage}))
        return [*events, b"data: [DONE]\n\n"]

    def _event(self, choices: list[dict[str, Any]], extra: dict[str, Any]) -> bytes:
        return b"data: " + _encode(self._document("chat.completion.chunk", choices) | extra) + b"\n\n"
