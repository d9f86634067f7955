"""What every request must pass before anything of it is read: the admin key, and a limit on its size."""

from __future__ import annotations

import hashlib
import hmac

from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import problem
from services.domain.errors import HeadgateError, PayloadTooLarge, Unauthorized

MAX_BODY_BYTES = 1024 * 1024
PROTECTED = "/v1/"

# Tells the OpenAPI document how to authenticate; the guard below does it.
bearer = HTTPBearer(auto_error=False, scheme_name="admin key")


class Guard:
    """ASGI middleware. Outside it there are only the health checks and the documentation."""

    def __init__(self, app: ASGIApp, *, admin_key: str) -> None:
        self._app = app
        self._expected = _digest(admin_key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http" or not scope["path"].startswith(PROTECTED):
            await self._app(scope, receive, send)
            return
        try:
            self._check_key(scope)
            self._check_length(scope)
        except HeadgateError as error:
            await _refuse(error, scope, receive, send)
            return
        await self._app(scope, _limited(receive), _not_stored(send))

    def _check_key(self, scope: Scope) -> None:
        scheme, _, key = _header(scope, b"authorization").partition(b" ")
        # Digests of equal length: the comparison's time says nothing about the key.
        if scheme.lower() != b"bearer" or not hmac.compare_digest(_digest(key.strip()), self._expected):
            raise Unauthorized("send `Authorization: Bearer <the admin key>`; HEADGATE_ADMIN_KEY holds it")

    def _check_length(self, scope: Scope) -> None:
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"the body is over {MAX_BODY_BYTES:,} bytes")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


async def _refuse(error: HeadgateError, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else {}
    response = problem(error.http_status, error.code, str(error), scope["path"], headers=headers)
    await response(scope, receive, send)


def _limited(receive: Receive) -> Receive:
    received = 0

    async def counting() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"the body is over {MAX_BODY_BYTES:,} bytes")
        return message

    return counting


def _not_stored(send: Send) -> Send:
    async def without_store(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
        await send(message)

    return without_store
