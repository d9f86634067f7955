"""The gateway's composition: everything concrete is put together here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import SystemRandom

from services.domain.errors import NotFound
from services.gateway.aiohttp_upstream import AiohttpUpstream
from services.gateway.asgi import Receive, Scope, Send
from services.gateway.chat import Chat, refuse
from services.gateway.config import ConfigStore
from services.gateway.failover import Failover
from services.gateway.leases import watch_leases
from services.gateway.outcomes import OutcomePublisher
from services.gateway.rejections import MethodNotAllowed
from services.gateway.secret_references import SecretResolver
from services.gateway.selection import Selection
from services.gateway.server import address_of, listen, serve_until
from services.gateway.settings import GatewaySettings
from services.gateway.snapshot import keep_snapshot, load_snapshot, snapshot_path
from services.gateway.status_pages import MODELS_PATH, StatusPages
from services.gateway.upstream import Upstream
from services.messaging.consumer import follow
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames

logger = logging.getLogger(__name__)

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Application:
    """The paths of the gateway, as one plain ASGI callable."""

    def __init__(self, chat: Chat, pages: StatusPages) -> None:
        self._chat = chat
        self._pages: dict[str, Handler] = {
            "/healthz": pages.healthz,
            "/readyz": pages.readyz,
            MODELS_PATH: pages.models,
        }
        self._models = pages.models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/v1/chat/completions":
            handler: Handler | None = self._chat
            allowed = "POST"
        else:
            handler = self._pages.get(path)
            allowed = "GET"
            if handler is None and path.startswith(MODELS_PATH + "/"):
                handler = self._models
        if handler is None:
            await refuse(send, NotFound(f"nothing is served at {path}; try POST /v1/chat/completions"))
        elif method != allowed:
            await refuse(send, MethodNotAllowed(f"{path} takes {allowed} only"))
        else:
            await handler(scope, receive, send)


async def serve(
    settings: GatewaySettings,
    kafka: KafkaSettings,
    stop: asyncio.Event,
    *,
    on_listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until ``stop``; then finish what is being served, flush the outcomes and return.

    ``on_listening`` is told the address.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    bound = listen(settings.host, settings.port)
    publisher = Publisher(kafka, client_id="headgate-gateway")
    outcomes = OutcomePublisher(
        publisher,
        TopicNames(kafka.topic_prefix).outcomes,
        settings.state_dir,
        gather_seconds=settings.gather_seconds,
        limit_bytes=settings.outcome_buffer_bytes,
    )
    store = ConfigStore(on_installation=outcomes.start)
    upstream = AiohttpUpstream()
    application = compose(settings, store, upstream, outcomes)
    try:
        async with _background(settings, kafka, store):
            logger.info("gateway %s listens on %s", outcomes.gateway, address_of(bound))
            on_listening(address_of(bound))
            await serve_until(application, bound, stop, grace_seconds=settings.stream_grace_seconds)
    finally:
        await outcomes.stop(within_seconds=settings.flush_grace_seconds)
        await publisher.stop()
        await upstream.close()
        logger.info("gateway %s stopped", outcomes.gateway)


def compose(
    settings: GatewaySettings,
    store: ConfigStore,
    upstream: Upstream,
    outcomes: OutcomePublisher,
    clock: Callable[[], float] = time.time,
) -> Application:
    """Return the application over its parts. ``clock`` is what evidence leases are judged by."""
    selection = Selection(SecretResolver(), SystemRandom())
    failover = Failover(upstream, selection, max_answer_bytes=settings.max_answer_bytes)
    chat = Chat(store, failover, outcomes, max_body_bytes=settings.max_body_bytes, clock=clock)
    return Application(chat, StatusPages(store, selection, outcomes, chat, clock))


@asynccontextmanager
async def _background(
    settings: GatewaySettings, kafka: KafkaSettings, store: ConfigStore
) -> AsyncIterator[None]:
    """Keep the configuration current meanwhile. A bug in there ends the gateway rather than its upkeep."""
    snapshot = snapshot_path(settings.state_dir, kafka)
    if states := load_snapshot(snapshot):
        logger.info("starting from the snapshot %s", snapshot)
        store.restore(states)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(follow(kafka, TopicNames(kafka.topic_prefix).config, store)),
            group.create_task(keep_snapshot(snapshot, store)),
            group.create_task(watch_leases(store)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
