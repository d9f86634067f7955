"""Requests as clients send them: surfaces, spellings, and what makes JSON hard."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": 'Says "model": "x", {"messages": []} and \\ é 😀 \u2028',
        "parameters": {
            "type": "object",
            "properties": {
                f"field_{number}": {
                    "type": ["string", "null"],
                    "enum": [f"model {number}", '"', "\\", "}{", "]["],
                    "model": {"stream": True},
                }
                for number in range(40)
            },
        },
    },
}
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You are {model}."},
        {"role": "user", "content": [{"type": "text", "text": 'é 😀 "model":"y"\n\t\x7f'}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
    ],
    "model": "support",
    "stream": True,
    "temperature": 0.2,
    "user": "ada",
}
SHAPES: list[dict[str, Any]] = [
    CHAT,
    CHAT | {"tools": [TOOL] * 30, "tool_choice": "auto", "stream_options": {"include_obfuscation": False}},
    {"model": "support", "input": "Where is my order?", "instructions": None, "store": False},
    {"model": "support", "input": [{"role": "user", "content": "hi"}], "text": {"format": {"type": "text"}}},
    {"model": "support", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8},
    {"prompt": ["once", "upon"], "model": "support", "max_tokens": 16, "logit_bias": {"50256": -100}},
    {"model": "support"},
]

shapes = st.sampled_from(SHAPES)


@st.composite
def spellings(draw: st.DrawFn, values: st.SearchStrategy[dict[str, Any]] = shapes) -> bytes:
    """A request, spelled in one of the ways that JSON writers have, its members in any order."""
    shape = draw(values)
    extra = draw(st.dictionaries(st.text().filter(lambda name: name not in shape), json_values, max_size=3))
    members = draw(st.permutations(list((shape | extra).items())))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", "\r\n:  ")]))
    text = json.dumps(
        dict(members),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, None, 2])),
        separators=separators,
    )
    before, after = draw(st.sampled_from([("", ""), (" \n", "\n"), ("\t", "  ")]))
    return (before + text + after).encode()
