"""What every request must pass before anything of it is read: a key that is known, and a limit on its size.

What the key's role allows is for each address to say (``services.api.roles``).
"""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import Request
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.callers import Caller, Callers
from services.api.problems import on_database_away, problem
from services.domain.errors import HeadgateError, PayloadTooLarge, Unauthorized

MAX_BODY_BYTES = 1024 * 1024
PROTECTED = "/v1/"

# Tells the OpenAPI document how to authenticate; the guard below does it.
bearer = HTTPBearer(auto_error=False, scheme_name="key")


class Guard:
    """ASGI middleware. Outside it there are only the health checks and the documentation."""

    def __init__(self, app: ASGIApp, *, callers: Callers) -> None:
        self._app = app
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http" or not scope["path"].startswith(PROTECTED):
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._callers.by_key(_key(scope))
            self._check_length(scope)
        except HeadgateError as error:
            await _refuse(error, scope, receive, send)
            return
        except sa.exc.OperationalError as error:
            response = await on_database_away(Request(scope), error)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, _limited(receive), _not_stored(send))

    def _check_length(self, scope: Scope) -> None:
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"the body is over {MAX_BODY_BYTES:,} bytes")


def caller_of(request: Request) -> Caller:
    """Return who sent a request that has passed the guard."""
    caller: Caller = request.state.caller
    return caller


def _key(scope: Scope) -> bytes:
    scheme, _, key = _header(scope, b"authorization").partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        raise Unauthorized(
            "send `Authorization: Bearer <key>` with a key of the role viewer, editor or admin, or with the "
            "admin key that HEADGATE_ADMIN_KEY holds"
        )
    return key.strip()


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
