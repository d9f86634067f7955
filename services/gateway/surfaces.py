"""The surfaces of the API that clients talk to, and the paths they are found under.

A surface is one operation of OpenAI's API, by whatever path: OpenAI's own, Azure's ``v1`` ones, or Azure's
older ones, in which a deployment stands for the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One operation. ``path`` is what OpenAI has after ``/v1/``."""

    path: str
    streams: bool
    """Whether ``stream`` means anything here."""
    usage_on_request: bool
    """Whether a stream says how many tokens it took only where ``stream_options`` asks for it."""
    prompt_place: Literal["messages", "instructions"] | None
    """The member that a variant's system prompt goes into."""
    under_deployments: bool
    """Whether Azure has it under a deployment in its dated api versions."""
    first_token: re.Pattern[bytes]
    """Found in the first event of a stream that carries some of the answer."""


_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*\{')

CHAT = Surface("chat/completions", True, True, "messages", True, _CHOICE)
RESPONSES = Surface("responses", True, False, "instructions", False, re.compile(rb'\.delta"'))
COMPLETIONS = Surface("completions", True, True, None, True, _CHOICE)
EMBEDDINGS = Surface("embeddings", False, False, None, True, _CHOICE)
SURFACES = (CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS)


class Call(NamedTuple):
    """What a path asks for. ``deployment`` is the one that the path names."""

    surface: Surface
    deployment: str | None = None


_PREFIXES = ("/v1/", "/openai/v1/")
_DEPLOYMENTS = "/openai/deployments/"
_CALLS = {prefix + surface.path: Call(surface) for prefix in _PREFIXES for surface in SURFACES} | {
    "/openai/" + surface.path: Call(surface) for surface in SURFACES if not surface.under_deployments
}
_UNDER_DEPLOYMENTS = tuple(("/" + surface.path, surface) for surface in SURFACES if surface.under_deployments)
_MODELS = ("/v1/models", "/openai/v1/models", "/openai/models")


def call_addresses() -> list[str]:
    """Return every path of a surface; ``{deployment}`` stands for the model."""
    return [*_CALLS, *(f"{_DEPLOYMENTS}{{deployment}}{suffix}" for suffix, _ in _UNDER_DEPLOYMENTS)]


def model_addresses() -> list[str]:
    """Return every path under which models are listed or described."""
    return [path for listing in _MODELS for path in (listing, f"{listing}/{{model}}")]


def called_by(path: str) -> Call | None:
    """Return what a path asks for; None where it is no surface."""
    call = _CALLS.get(path)
    if call is None and path.startswith(_DEPLOYMENTS):
        return _under_deployment(path[len(_DEPLOYMENTS) :])
    return call


def _under_deployment(rest: str) -> Call | None:
    for suffix, surface in _UNDER_DEPLOYMENTS:
        if rest.endswith(suffix) and len(rest) > len(suffix):
            return Call(surface, rest[: -len(suffix)])
    return None


def model_asked_for(path: str) -> str | None:
    """Return the model whose description a path asks for, "" for all of them, None for neither."""
    for listing in _MODELS:
        if path.startswith(listing):
            rest = path[len(listing) :]
            if not rest or rest.startswith("/"):
                return rest[1:]
    return None
