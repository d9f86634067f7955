"""What the resources share: the database, who is asking, and how a changed route is published."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.problems import MEDIA_TYPE, PROBLEM
from services.domain.configuration import Config, config_key
from services.domain.errors import Conflict
from services.messaging.records import config_record
from services.messaging.topics import CONFIG
from services.storage import configuration, outbox

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM}}}}
    for status, description in {
        400: "what was sent cannot be read",
        401: "the key is missing, unknown, expired or revoked",
        403: "the key's role is too low; `detail` says which one is needed",
        404: "there is no such thing",
        409: "the present state does not allow it; `detail` says what to do",
        412: "it is not as `If-Match` says: GET it again, and send the change with its new ETag",
        413: "the body is too large",
        422: "what was sent breaks a rule; `errors` names the fields",
        503: "the database does not answer; try again",
    }.items()
}
"""By reference: given a model, every address would make a validator of it for each of them."""


def engine_of(request: Request) -> AsyncEngine:
    """Return the database of the application that got the request."""
    engine: AsyncEngine = request.app.state.engine
    return engine


Database = Annotated[AsyncEngine, Depends(engine_of)]


MAX_STATE_BYTES = 900_000
"""Of one published state: Kafka takes records of 1 MB."""


async def publish(connection: AsyncConnection, state: Config) -> None:
    """Send a state to the gateways once the transaction commits. Raises Conflict where it is too large."""
    topic, key, value = config_record(state)
    if len(value) > MAX_STATE_BYTES:
        raise Conflict(
            f"{key.decode()} with the prompts and parameters of all its variants would be {len(value):,} "
            f"bytes, and {MAX_STATE_BYTES:,} is the most; shorten them, or test fewer variants at once"
        )
    await outbox.add(connection, topic, key, value)


async def unpublish(connection: AsyncConnection, state: Config) -> None:
    """Make the gateways forget a state once the transaction commits."""
    await outbox.add(connection, CONFIG.name, config_key(state).encode(), None)


async def publish_route(connection: AsyncConnection, route_key: str) -> None:
    """Send a route as it is now to the gateways once the transaction commits."""
    await publish(connection, await configuration.route_config(connection, route_key))
