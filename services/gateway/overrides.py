"""What a variant changes in the requests it gets."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from services.domain.configuration import EndpointConfig, VariantConfig
from services.gateway.body import RequestBody
from services.gateway.splice import open_object, splice

_Raw = msgspec.Raw
_encode = msgspec.json.Encoder().encode
_INCLUDE_USAGE = {"include_usage": _Raw(b"true")}
_USAGE_OPTIONS = _Raw(b'{"include_usage":true}')


@lru_cache(maxsize=4096)
def _encoded(model: str) -> msgspec.Raw:
    return _Raw(_encode(model))


class Overrides:
    """The changes of one variant, prepared once."""

    __slots__ = ("_message", "_model", "_parameters", "_prompt")

    def __init__(self, variant: VariantConfig) -> None:
        self._model = variant.model
        self._parameters = {name: _Raw(_encode(value)) for name, value in variant.parameters.items()}
        prompt = variant.system_prompt
        self._message = None if prompt is None else _encode({"role": "system", "content": prompt})
        self._prompt = _encode(prompt)

    def model_at(self, endpoint: EndpointConfig, body: RequestBody) -> str:
        """Return what the endpoint is to call the model: its own name for it, else the variant's."""
        return endpoint.model or self._model or body.model

    def apply(self, body: RequestBody, model: str, *, asks_for_usage: bool = False) -> bytes:
        """Return the body as it is sent, with ``model`` and everything that the variant sets."""
        members = body.members
        changes = self._parameters.copy()
        if model != body.named_model:
            changes["model"] = _encoded(model)
        if self._message is not None:
            place = body.surface.prompt_place
            given = None if place is None else changes.get(place, members.get(place))
            if place == "instructions":
                changes[place] = _above(self._prompt, b"null" if given is None else bytes(given))
            elif place == "messages" and given is not None:
                changes[place] = _with_first(bytes(given), self._message)
        if asks_for_usage:
            changes["stream_options"] = _with_usage(bytes(members.get("stream_options", b"null")))
        return splice(body.document, members, changes)


def _with_first(array: bytes, element: bytes) -> msgspec.Raw:
    """Return a JSON array with one more element in front; what is not an array is left to the provider."""
    if not array.startswith(b"["):
        return _Raw(array)
    separator = b"" if array[1:].lstrip(b" \t\r\n") == b"]" else b","
    return _Raw(b"".join((b"[", element, separator, array[1:])))


def _above(prompt: bytes, given: bytes) -> msgspec.Raw:
    """Return a JSON string that says both, a blank line between; another value is left to the provider."""
    if given == b"null":
        return _Raw(prompt)
    if not given.startswith(b'"'):
        return _Raw(given)
    return _Raw(prompt[:-1] + rb"\n\n" + given[1:])


def _with_usage(options: bytes) -> msgspec.Raw:
    if options == b"null":
        return _USAGE_OPTIONS
    return _Raw(splice(options, open_object(options), _INCLUDE_USAGE))
