"""Simulated embeddings: vectors that depend on the input and nothing else."""

from __future__ import annotations

import base64
import hashlib
from array import array
from typing import Any

import msgspec

from services.demo.provider_answers import encode, server_error
from services.demo.provider_requests import ProviderRequest

_DIMENSIONS = 8
_decode_input = msgspec.json.Decoder(str | list[Any]).decode


class Embeddings:
    """One vector for each input."""

    def __init__(self, model: str, request: ProviderRequest) -> None:
        self._model = model
        self._request = request

    def whole(self) -> bytes:
        given = _decode_input(self._request.input) if bytes(self._request.input) else ""
        inputs = given if isinstance(given, list) else [given]
        tokens = max(1, self._request.prompt_bytes // 4)
        data = [
            {"object": "embedding", "index": index, "embedding": self._vector(one)}
            for index, one in enumerate(inputs)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return encode({"object": "list", "data": data, "model": self._model, "usage": usage})

    def failed(self) -> bytes:
        return server_error()

    def events(self) -> list[bytes]:
        return [b"data: " + self.whole() + b"\n\n"]

    def failed_event(self) -> bytes:
        return b"data: " + server_error() + b"\n\n"

    def _vector(self, text: object) -> str | list[float]:
        digest = hashlib.sha256(str(text).encode("utf-8", "replace")).digest()
        size = self._request.dimensions or _DIMENSIONS
        vector = [digest[place % len(digest)] / 256 for place in range(size)]
        if self._request.encoding_format == "base64":
            return base64.b64encode(array("f", vector).tobytes()).decode()
        return vector
