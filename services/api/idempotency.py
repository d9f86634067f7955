"""``Idempotency-Key``: the same POST, sent again, changes nothing more and is answered as the first time.

As draft-ietf-httpapi-idempotency-key-header says. The answer is kept in the transaction of the change, so a
crash leaves both or neither. An error changed nothing and is not kept: the request may be sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import Header, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.errors import KeyReused, StillUnderWay
from services.storage import idempotency
from services.storage.idempotency import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEPT_HEADERS = ("content-type", "etag", "location")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=255,
        description=(
            "A name for this request, such as a UUID. Sent again within 24 hours with the same body, it is "
            "answered as the first time and changes nothing more"
        ),
    ),
]

Answering = Callable[[], Awaitable[Response]]


async def answered_once(
    connection: AsyncConnection, request: Request, actor: str, answer: Answering, shown: Mapping[str, Any]
) -> Response:
    """Return the answer that is kept for the request, or have it answered and keep that.

    What ``shown`` holds in the end is kept in place of fields of the answer: what must not be stored. Raises
    KeyReused and StillUnderWay.
    """
    key = request.headers.get(HEADER, "").strip().strip('"')
    if not key:
        return await answer()
    if not await idempotency.hold(connection, actor, key):
        raise StillUnderWay(
            f"a request with this {HEADER} is still being answered; send it again in a moment, and you get "
            "the answer of the first"
        )
    fingerprint = await _fingerprint(request)
    kept = await idempotency.find(connection, actor, key)
    if kept is not None:
        return _replayed(kept, fingerprint)
    response = await answer()
    await idempotency.keep(connection, actor, key, _to_keep(request, fingerprint, response, shown))
    return response


async def _fingerprint(request: Request) -> str:
    parts = (request.method, request.url.path, request.url.query)
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + await request.body()).hexdigest()


def _replayed(kept: KeptAnswer, fingerprint: str) -> Response:
    if kept.fingerprint != fingerprint:
        raise KeyReused(
            f"this {HEADER} came with another request, {kept.method} {kept.path}, or with another body; send "
            "a new key with a new request, and the same body with the same key"
        )
    return Response(kept.body, kept.status, {**kept.headers, REPLAYED: "true"})


def _to_keep(request: Request, fingerprint: str, response: Response, shown: Mapping[str, Any]) -> KeptAnswer:
    body = bytes(response.body)
    if shown:
        body = json.dumps(json.loads(body) | dict(shown)).encode()
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return KeptAnswer(request.method, request.url.path, fingerprint, response.status_code, headers, body)
