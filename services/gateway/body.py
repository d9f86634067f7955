"""Request bodies: the few fields that routing needs are read, the few that a variant changes are replaced.

Only the top level of the JSON object is taken apart. Every value that is not replaced is forwarded byte for
byte as it came.
"""

from __future__ import annotations

import msgspec

from services.domain.configuration import VariantConfig
from services.gateway.rejections import InvalidRequest

_Raw = msgspec.Raw
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class ChatBody:
    """A chat completion request, open at its top level."""

    __slots__ = ("fields", "model", "streams")

    def __init__(self, fields: dict[str, msgspec.Raw]) -> None:
        self.fields = fields
        model = self.text("model")
        if not model:
            raise InvalidRequest(
                "the body names no model; set `model` to one of the routes that GET /v1/models lists", "model"
            )
        self.model = model
        self.streams = bytes(fields.get("stream", b"")) == b"true"

    def text(self, name: str) -> str | None:
        """Return a field that is a string, else None."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        try:
            return _decode_string(raw)
        except _UNREADABLE:
            return None


def read_chat_body(body: bytes) -> ChatBody:
    """Open a request's body; raise InvalidRequest where it is not a JSON object that names a model."""
    try:
        return ChatBody(_decode_object(body))
    except _UNREADABLE as error:
        raise InvalidRequest(
            f"the body is not a JSON object: {error}; send a chat completion request as application/json"
        ) from None


class Overrides:
    """What a variant changes in every body it gets, prepared once."""

    __slots__ = ("_fields", "_system_message")

    def __init__(self, variant: VariantConfig) -> None:
        self._fields = {name: _Raw(_encode(value)) for name, value in variant.parameters.items()}
        if variant.model is not None:
            self._fields["model"] = _Raw(_encode(variant.model))
        prompt = variant.system_prompt
        self._system_message = None if prompt is None else _encode({"role": "system", "content": prompt})

    def apply(self, body: ChatBody, model: str | None) -> bytes:
        """Return the body for one endpoint. The variant's values win, then the endpoint's ``model``."""
        fields = body.fields | self._fields
        if model is not None:
            fields["model"] = _Raw(_encode(model))
        if self._system_message is not None and "messages" in fields:
            fields["messages"] = _Raw(_with_first(bytes(fields["messages"]), self._system_message))
        return _encode(fields)


def _with_first(array: bytes, element: bytes) -> bytes:
    """Return a JSON array with one more element in front; what is not an array is left to the provider."""
    if not array.startswith(b"["):
        return array
    rest = array[1:].lstrip(b" \t\r\n")
    return b"[" + element + (rest if rest.startswith(b"]") else b"," + rest)
