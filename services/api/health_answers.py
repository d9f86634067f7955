"""What a health check reads out of an answer: its text, whole or streamed. Pure functions."""

from __future__ import annotations

import json
from typing import Any


def text_of(document: Any) -> str:
    """Return the text of an answer to a chat, a completion or a response; empty where there is none."""
    if not isinstance(document, dict):
        return ""
    if isinstance(message := _error_of(document), str):
        return message
    choices = [choice for choice in _items(document, "choices") if isinstance(choice, dict)]
    pieces = [_piece(choice) for choice in choices[:1]]
    for item in _items(document, "output"):
        pieces += [part.get("text") for part in _items(item, "content") if isinstance(part, dict)]
    return "".join(piece for piece in pieces if isinstance(piece, str))


def read_stream(body: bytes) -> tuple[str, str | None]:
    """Return the text of a stream of events, and what went wrong in it, if anything did."""
    pieces: list[str] = []
    for line in body.splitlines():
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            continue
        try:
            event = json.loads(line[5:])
        except ValueError:
            return "".join(pieces), f"an event that is no JSON: {line[5:105].decode(errors='replace')}"
        if isinstance(message := _error_of(event), str):
            return "".join(pieces), f"a stream that broke off: {message}"
        pieces.append(_streamed(event))
    return "".join(pieces), None


def storable(text: str) -> str:
    """Return the text with a sign in the place of what Postgres cannot store: NUL, halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _streamed(event: Any) -> str:
    if not isinstance(event, dict):
        return ""
    if event.get("type") == "response.output_text.delta":
        return str(event.get("delta") or "")
    choices = [choice for choice in _items(event, "choices") if isinstance(choice, dict)]
    return "".join(piece for choice in choices[:1] if isinstance(piece := _piece(choice), str))


def _piece(choice: dict[str, Any]) -> Any:
    for name in ("message", "delta"):
        inner = choice.get(name)
        if isinstance(inner, dict):
            return inner.get("content")
    return choice.get("text")


def _error_of(document: Any) -> str | None:
    error = document.get("error") if isinstance(document, dict) else None
    if error is None:
        return None
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)


def _items(document: Any, name: str) -> list[Any]:
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, list) else []
