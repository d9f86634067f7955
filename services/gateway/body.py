"""Request bodies: the few fields that routing needs are read, everything else is passed by."""

from __future__ import annotations

import msgspec

from services.gateway.decoded import decode_stream_options
from services.gateway.rejections import InvalidRequest
from services.gateway.splice import Members, open_object
from services.gateway.surfaces import Call, Surface

_decode_string = msgspec.json.Decoder(str).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class RequestBody:
    """A request to a surface, open at its top level.

    ``model`` is the name that the request is routed by: the deployment in its path, else what the body names.
    """

    __slots__ = ("document", "members", "model", "named_model", "streams", "surface")

    def __init__(self, document: bytes, members: Members, call: Call) -> None:
        self.document = document
        self.members = members
        self.surface: Surface = call.surface
        self.named_model = self.text("model")
        model = call.deployment or self.named_model
        if not model:
            raise InvalidRequest(
                "the body names no model; set `model` to one of the routes that GET /v1/models lists", "model"
            )
        self.model = model
        streams = members.get("stream")
        self.streams = streams is not None and self.surface.streams and bytes(streams) == b"true"

    def text(self, name: str) -> str | None:
        """Return a field that is a string, else None."""
        raw = self.members.get(name)
        if raw is None:
            return None
        try:
            return _decode_string(raw)
        except _UNREADABLE:
            return None

    @property
    def lacks_usage(self) -> bool:
        """Whether the answer is a stream that would end without a word about tokens, as asked for."""
        return self.streams and self.surface.usage_on_request and not self._asks_for_usage()

    def _asks_for_usage(self) -> bool:
        raw = self.members.get("stream_options")
        if raw is None:
            return False
        try:
            options = decode_stream_options(raw)
        except _UNREADABLE:
            # The provider says what is wrong with it.
            return True
        return options is not None and options.include_usage is True


def open_body(document: bytes, call: Call) -> RequestBody:
    """Open a request's body; raise InvalidRequest where it is not a JSON object that names a model."""
    try:
        members = open_object(document)
    except _UNREADABLE as error:
        raise InvalidRequest(
            f"the body is not a JSON object: {error}; "
            f"send a request for {call.surface.path} as application/json"
        ) from None
    return RequestBody(document, members, call)
