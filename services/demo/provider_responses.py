"""Simulated responses: the answer as items, and a stream of typed events."""

from __future__ import annotations

from typing import Any

from services.demo.provider_answers import CREATED, encode, event, new_id
from services.demo.provider_requests import ProviderRequest
from services.demo.provider_speech import Speech

_FAILURE = {"code": "server_error", "message": "The server had an error (simulated)."}


class ResponseAnswer:
    """A response."""

    def __init__(self, model: str, speech: Speech, request: ProviderRequest) -> None:
        self._id = new_id("resp")
        self._item_id = new_id("item")
        self._model = model
        self._speech = speech
        self._request = request

    def whole(self) -> bytes:
        return encode(self._finished())

    def failed(self) -> bytes:
        return encode(self._response("failed") | {"error": _FAILURE})

    def failed_event(self) -> bytes:
        response = self._response("failed") | {"error": _FAILURE}
        return _typed(999, "response.failed", {"response": response})

    def events(self) -> list[bytes]:
        last = self._finished()
        events: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": self._response("in_progress")}),
            ("response.in_progress", {"response": self._response("in_progress")}),
            *(self._text_events() if self._speech.function is None else self._call_events()),
            (f"response.{last['status']}", {"response": last}),
        ]
        return [_typed(number, name, fields) for number, (name, fields) in enumerate(events)]

    def _text_events(self) -> list[tuple[str, dict[str, Any]]]:
        place = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        text = self._speech.text
        return [
            ("response.output_item.added", {"output_index": 0, "item": self._item("in_progress", "")}),
            ("response.content_part.added", place | {"part": _part("")}),
            *(
                ("response.output_text.delta", place | {"delta": piece, "logprobs": []})
                for piece in self._speech.pieces
            ),
            ("response.output_text.done", place | {"text": text, "logprobs": []}),
            ("response.content_part.done", place | {"part": _part(text)}),
            ("response.output_item.done", {"output_index": 0, "item": self._item("completed", text)}),
        ]

    def _call_events(self) -> list[tuple[str, dict[str, Any]]]:
        place = {"item_id": self._item_id, "output_index": 0}
        arguments = self._speech.text
        done = {"arguments": arguments, "name": self._speech.function}
        return [
            ("response.output_item.added", {"output_index": 0, "item": self._item("in_progress", "")}),
            *(
                ("response.function_call_arguments.delta", place | {"delta": piece})
                for piece in self._speech.pieces
            ),
            ("response.function_call_arguments.done", place | done),
            ("response.output_item.done", {"output_index": 0, "item": self._item("completed", arguments)}),
        ]

    def _item(self, status: str, text: str) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self._item_id, "status": status}
        if self._speech.function is None:
            content = [] if status == "in_progress" else [_part(text)]
            return item | {"type": "message", "role": "assistant", "content": content}
        called = {"call_id": f"call-{self._item_id}", "name": self._speech.function, "arguments": text}
        return item | {"type": "function_call"} | called

    def _finished(self) -> dict[str, Any]:
        speech = self._speech
        if speech.filtered:
            reason = {"incomplete_details": {"reason": "content_filter"}}
            return self._response("incomplete") | reason | {"usage": self._usage}
        return self._response("completed") | {
            "output": [self._item("completed", speech.text)],
            "usage": self._usage,
        }

    @property
    def _usage(self) -> dict[str, Any]:
        speech = self._speech
        return {
            "input_tokens": speech.prompt_tokens,
            "input_tokens_details": {"cached_tokens": speech.cached_tokens},
            "output_tokens": speech.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": speech.prompt_tokens + speech.tokens,
        }

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": self._request.metadata or {},
            "model": self._model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "text": self._request.text or {"format": {"type": "text"}},
            "tool_choice": self._request.tool_choice or "auto",
            "tools": self._request.tools or [],
            "top_p": 1.0,
            "usage": None,
        }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _typed(number: int, name: str, fields: dict[str, Any]) -> bytes:
    return event({"type": name, "sequence_number": number} | fields, name)
