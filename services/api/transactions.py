"""One transaction for each request that changes something.

It begins when the request has been read and ends when the answer is ready, which is kept in it where the
request has an ``Idempotency-Key``. Whatever is raised on the way undoes everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, HTTPException, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import ClientDisconnect

from services.api.callers import Caller
from services.api.common import engine_of
from services.api.etags import Resource, check_match
from services.api.guard import bearer, caller_of
from services.api.idempotency import REPLAYED, IdempotencyKey, answered_once
from services.api.roles import check_role, role_taken
from services.domain.access import ControlRole

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1_000,
        description=(
            "The ETag of what you have seen. Where it is not as you have seen it any more, nothing is done, "
            "and the answer is 412"
        ),
    ),
]


class Transaction:
    """The transaction of one request. Everything that changes something takes one."""

    def __init__(self, connection: AsyncConnection, *, caller: Caller, if_match: str | None) -> None:
        self.connection = connection
        self.caller = caller
        self.actor = caller.actor
        self.if_match = if_match
        self.kept_as: dict[str, Any] = {}
        """What is kept for a repeat of the request, in place of fields of the answer."""

    def check_seen(self, present: Resource) -> None:
        """Raise PreconditionFailed where the caller has seen another state than the present one.

        Call it once the resource is locked, with the resource as it is then.
        """
        if self.if_match is not None:
            check_match(self.if_match, present)


def _transaction(request: Request) -> Transaction:
    transaction: Transaction = request.state.transaction
    return transaction


def _creating(request: Request, _key: IdempotencyKey = None) -> Transaction:
    return _transaction(request)


def _changing(request: Request, _seen: IfMatch = None) -> Transaction:
    return _transaction(request)


def _acting(request: Request, _seen: IfMatch = None, _key: IdempotencyKey = None) -> Transaction:
    return _transaction(request)


Creating = Annotated[Transaction, Depends(_creating)]
"""Of a POST to a collection. Takes an Idempotency-Key."""
Changing = Annotated[Transaction, Depends(_changing)]
"""Of a PUT, PATCH or DELETE. Honours If-Match where the handler calls ``check_seen``."""
Acting = Annotated[Transaction, Depends(_acting)]
"""Of a verb, a POST to a resource: both."""


class Route(APIRoute):
    """An address under ``/v1``: it takes a key, changes are one transaction, resources carry their ETag."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.role = role_taken(endpoint, options.get("methods") or ("GET",))
        keyed = [Depends(bearer), *(options.pop("dependencies", None) or ())]
        super().__init__(path, endpoint, dependencies=keyed, **options)
        self.openapi_extra = {**(self.openapi_extra or {}), ROLE: self.role}
        headers = self._headers()
        if headers:
            success = self.status_code or 200
            self.responses = {**self.responses, success: {"headers": headers}}

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        handle = super().get_route_handler()
        resource = self._resource()
        if resource is not None:
            handle = _tagged(handle, resource)
        return _for_role(self.role, handle if self._reads() else _in_a_transaction(handle))

    def _reads(self) -> bool:
        return (self.methods or set()) <= {"GET", "HEAD"}

    def _resource(self) -> type[Resource] | None:
        """Return what the answers show and carry the tag of, where that is a resource that is there."""
        model, shows = self.response_model, (self.status_code or 200) in (200, 201)
        if shows and isinstance(model, type) and issubclass(model, Resource) and self.methods != {"DELETE"}:
            return model
        return None

    def _headers(self) -> dict[str, Any]:
        tagged = {} if self._resource() is None else {"ETag": _ETAG}
        return tagged | ({REPLAYED: _REPLAYED} if self.methods == {"POST"} else {})


ROLE = "x-role"
"""Where the OpenAPI document has the role that an operation takes."""

_ETAG = {
    "description": "What was seen of the resource, to be sent back as `If-Match` with a change of it",
    "schema": {"type": "string"},
}
_REPLAYED = {
    "description": "The request came before: this is the answer of then, and nothing was changed now",
    "schema": {"type": "string", "enum": ["true"]},
}


def _for_role(role: ControlRole, handle: Handler) -> Handler:
    """Check the role before anything of the request is read."""

    async def allowed(request: Request) -> Response:
        check_role(caller_of(request), role)
        return await handle(request)

    return allowed


def _tagged(handle: Handler, model: type[Resource]) -> Handler:
    async def tagged(request: Request) -> Response:
        response = await handle(request)
        response.headers["ETag"] = model.tag_of(json.loads(bytes(response.body)))
        return response

    return tagged


def _in_a_transaction(handle: Handler) -> Handler:
    async def answered(request: Request) -> Response:
        await _read(request)
        async with engine_of(request).begin() as connection:
            caller = caller_of(request)
            transaction = Transaction(connection, caller=caller, if_match=request.headers.get("if-match"))
            request.state.transaction = transaction
            return await answered_once(
                connection, request, caller.key_id, lambda: handle(request), transaction.kept_as
            )

    return answered


async def _read(request: Request) -> None:
    """Read the body before anything is locked: a slow caller holds up nobody."""
    try:
        await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the body ended too early") from None
