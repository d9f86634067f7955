"""Simulated chat and text completions."""

from __future__ import annotations

from typing import Any

from services.demo.provider_answers import CREATED, encode, event, new_id, server_error
from services.demo.provider_speech import Speech

_DONE = b"data: [DONE]\n\n"


class _Completion:
    """What both kinds have in common. ``with_usage`` says whether a stream ends with its usage."""

    prefix = ""
    kind = ""
    chunk_kind = ""

    def __init__(self, model: str, speech: Speech, *, with_usage: bool, filter_results: bool) -> None:
        self._id = new_id(self.prefix)
        self._model = model
        self._speech = speech
        self._with_usage = with_usage
        self._filter_results = filter_results

    def whole(self) -> bytes:
        choice = {"index": 0, "logprobs": None, "finish_reason": self._finish_reason} | self._content()
        return encode(self._document(self.kind, [choice]) | {"usage": self._speech.usage})

    def failed(self) -> bytes:
        return server_error()

    def failed_event(self) -> bytes:
        return b"data: " + server_error() + b"\n\n"

    def events(self) -> list[bytes]:
        events = [self._filter_event()] if self._filter_results else []
        events += [self._chunk(content, None) for content in self._contents()]
        events.append(self._chunk(self._last_content(), self._finish_reason))
        if self._with_usage:
            events.append(event(self._document(self.chunk_kind, []) | {"usage": self._speech.usage}))
        return [*events, _DONE]

    def _content(self) -> dict[str, Any]:
        raise NotImplementedError

    def _contents(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _last_content(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def _finish_reason(self) -> str:
        if self._speech.filtered:
            return "content_filter"
        return "stop" if self._speech.function is None else "tool_calls"

    def _document(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": CREATED,
            "model": self._model,
            "choices": choices,
        }

    def _chunk(self, content: dict[str, Any], reason: str | None) -> bytes:
        choice = {"index": 0, "finish_reason": reason, "logprobs": None} | content
        extra: dict[str, Any] = {"usage": None} if self._with_usage else {}
        return event(self._document(self.chunk_kind, [choice]) | extra)

    def _filter_event(self) -> bytes:
        results = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
        nothing = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        return event(nothing | {"prompt_filter_results": results})


class ChatCompletion(_Completion):
    """A chat completion."""

    prefix, kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def _content(self) -> dict[str, Any]:
        speech = self._speech
        message: dict[str, Any] = {"role": "assistant", "content": speech.text, "refusal": None}
        if speech.function is not None:
            message |= {"content": None, "tool_calls": [self._call(speech.function, speech.text)]}
        return {"message": message}

    def _contents(self) -> list[dict[str, Any]]:
        speech = self._speech
        first: dict[str, Any] = {"role": "assistant", "content": ""}
        if speech.function is None:
            return [{"delta": first}, *({"delta": {"content": piece}} for piece in speech.pieces)]
        first |= {"content": None, "tool_calls": [{"index": 0} | self._call(speech.function, "")]}
        rest = [{"index": 0, "function": {"arguments": piece}} for piece in speech.pieces]
        return [{"delta": first}, *({"delta": {"tool_calls": [piece]}} for piece in rest)]

    def _last_content(self) -> dict[str, Any]:
        return {"delta": {}}

    def _call(self, function: str, arguments: str) -> dict[str, Any]:
        called = {"name": function, "arguments": arguments}
        return {"id": f"call-{self._id}", "type": "function", "function": called}


class TextCompletion(_Completion):
    """A completion of a text."""

    prefix, kind, chunk_kind = "cmpl", "text_completion", "text_completion"

    def _content(self) -> dict[str, Any]:
        return {"text": self._speech.text}

    def _contents(self) -> list[dict[str, Any]]:
        return [{"text": piece} for piece in self._speech.pieces]

    def _last_content(self) -> dict[str, Any]:
        return {"text": ""}
