"""What a simulated model says: words, an answer that follows a JSON schema, or a call of a function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from services.demo.provider_behaviour import Behaviour
from services.demo.provider_requests import ProviderRequest

_TEXT = "the gate opens for water that runs clear and shuts before a flood comes through it"
_WORDS = tuple(_TEXT.split(" "))
_PIECE = 8
"""Characters in a token of JSON."""


@dataclass(frozen=True, slots=True)
class Speech:
    """An answer in the pieces it is streamed in; a call of ``function`` has its arguments in them."""

    pieces: tuple[str, ...]
    prompt_tokens: int
    function: str | None = None
    filtered: bool = False
    cached_tokens: int = 0
    """Of the prompt's."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """How many it took."""
        return len(self.pieces)

    @property
    def usage(self) -> dict[str, Any]:
        """As chat and text completions count."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens": self.tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
        }


def speak(request: ProviderRequest, behaviour: Behaviour, *, filtered: bool) -> Speech:
    """Return the answer to a request: the same words for the same number of tokens."""
    prompt_tokens = max(1, request.prompt_bytes // 4)
    cached_tokens = int(prompt_tokens * behaviour.cached_fraction)
    function, pieces = _say(request, behaviour.tokens)
    if filtered:
        function, pieces = None, ()
    return Speech(pieces, prompt_tokens, function, filtered=filtered, cached_tokens=cached_tokens)


def _say(request: ProviderRequest, tokens: int) -> tuple[str | None, tuple[str, ...]]:
    """Return the function that is called, and what is said."""
    tool, schema = request.wanted_tool, request.wanted_schema
    if tool is not None:
        return tool["name"], _json_for(tool.get("parameters") or {})
    if schema is not None:
        return None, _json_for(schema)
    return None, tuple(f"{_WORDS[i % len(_WORDS)]} " for i in range(tokens))


def _json_for(schema: dict[str, Any]) -> tuple[str, ...]:
    text = json.dumps(_example(schema, schema))
    return tuple(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))


def _example(schema: dict[str, Any], root: dict[str, Any]) -> Any:  # noqa: C901, PLR0911 - a table of cases
    """Return a value that the schema allows."""
    match schema:
        case {"$ref": str(reference)}:
            found = root
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
            return _example(found, root)
        case {"const": value}:
            return value
        case {"enum": [value, *_]}:
            return value
        case {"anyOf": [first, *_]}:
            return _example(first, root)
        case {"type": "object"}:
            return {name: _example(inner, root) for name, inner in schema.get("properties", {}).items()}
        case {"type": "array"}:
            return [_example(schema.get("items", {}), root)]
        case {"type": "integer" | "number"}:
            return 1
        case {"type": "boolean"}:
            return True
        case {"type": "null"}:
            return None
        case _:
            return "clear water"
