"""What was asked and answered, in the shape that the conventions give it: for routes that opted in.

Texts only: pictures, sounds and files are named by their kind. Long texts are cut, and of a long conversation
the end is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from services.domain.likeness import AnswerText
from services.gateway.body import RequestBody
from services.gateway.telemetry.conventions import Attributes

LONGEST_TEXT = 8_000
"""Characters of one text."""
LONGEST_BYTES = 64 * 1024
"""Of one attribute."""

_Part = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def input_attributes(body: RequestBody) -> Attributes:
    """Return the caller's messages and instructions, as they came."""
    asked = {name: _read(body.members.get(name)) for name in ("messages", "input", "prompt", "instructions")}
    attributes: Attributes = {}
    given = next((asked[name] for name in ("messages", "input", "prompt") if asked[name] is not None), None)
    if given is not None:
        attributes["gen_ai.input.messages"] = _spelled([_message(one) for one in _listed(given)])
    if isinstance(asked["instructions"], str):
        attributes["gen_ai.system_instructions"] = _spelled([_text(asked["instructions"])])
    return attributes


def output_attributes(answer: AnswerText, finish_reasons: tuple[str, ...]) -> Attributes:
    """Return the answer."""
    parts = [_text(answer.text)] if answer.text else []
    parts += [
        {"type": "tool_call", "name": call.name, "arguments": call.arguments} for call in answer.tool_calls
    ]
    reason = finish_reasons[0] if finish_reasons else ""
    return {
        "gen_ai.output.messages": _spelled([{"role": "assistant", "parts": parts, "finish_reason": reason}])
    }


def _message(given: Any) -> _Part:
    if not isinstance(given, dict):
        return {"role": "user", "parts": _parts(given)}
    role, content = str(given.get("role", "user")), given.get("content")
    if role == "tool" or given.get("type") == "function_call_output":
        response = {"type": "tool_call_response", "id": given.get("tool_call_id", given.get("call_id"))}
        return {"role": "tool", "parts": [response | {"response": _cut(content or given.get("output"))}]}
    calls = given.get("tool_calls")
    return {"role": role, "parts": [*_parts(content), *map(_call, _listed(calls) if calls else ())]}


def _call(given: Any) -> _Part:
    call = given if isinstance(given, dict) else {}
    function = call["function"] if isinstance(call.get("function"), dict) else {}
    named = {"type": "tool_call", "id": call.get("id"), "name": function.get("name")}
    return named | {"arguments": _cut(function.get("arguments"))}


def _parts(content: Any) -> list[_Part]:
    if content is None:
        return []
    return [_part(one) for one in _listed(content)]


def _part(given: Any) -> _Part:
    if isinstance(given, dict):
        text = given.get("text")
        return _text(text) if isinstance(text, str) else {"type": str(given.get("type", "unknown"))}
    return _text(given) if isinstance(given, str) else {"type": "unknown"}


def _text(text: str) -> _Part:
    return {"type": "text", "content": _cut(text)}


def _cut(text: Any) -> Any:
    return text[:LONGEST_TEXT] if isinstance(text, str) else None


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _read(raw: Any) -> Any:
    if raw is None:
        return None
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _spelled(messages: list[_Part]) -> str:
    pieces = [_encode(message) for message in messages]
    size = sum(map(len, pieces))
    while pieces and size > LONGEST_BYTES:
        size -= len(pieces.pop(0))
    return f"[{b','.join(pieces).decode()}]"
