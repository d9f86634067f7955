"""The gateway's composition: everything concrete is put together here."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from services.domain.errors import NotFound
from services.gateway.collector import Collector
from services.gateway.compiled import COMPILED
from services.gateway.config import ConfigStore
from services.gateway.failover import Failover
from services.gateway.feedback_page import FeedbackPage, feedback_addresses, takes_feedback
from services.gateway.feedback_parts import FeedbackParts, compose_feedback
from services.gateway.health import HealthBook
from services.gateway.inbound.limits import CallerLimits
from services.gateway.inbound.server import CallerServer
from services.gateway.inbound.turn import Turn
from services.gateway.leases import watch_leases
from services.gateway.limiting.limiter import Limiter
from services.gateway.limiting.parts import compose_limiter
from services.gateway.metrics import Metrics
from services.gateway.observation import Observation
from services.gateway.outcomes import OutcomePublisher
from services.gateway.pages import Page
from services.gateway.place import Place
from services.gateway.probes import Prober
from services.gateway.rejections import MethodNotAllowed
from services.gateway.request_ids import given_id
from services.gateway.retry_budget import RetryBudgets
from services.gateway.secret_commands import SecretCommands
from services.gateway.secret_references import SecretResolver
from services.gateway.selection import Selection
from services.gateway.server import address_of, listen
from services.gateway.serving import Serving, refusal
from services.gateway.settings import GatewaySettings
from services.gateway.shadow import Shadows
from services.gateway.shadow_parts import ShadowWays, compose_shadows, ways_for_shadows
from services.gateway.snapshot import keep_snapshot, load_snapshot, snapshot_path
from services.gateway.status_pages import StatusPages
from services.gateway.surfaces import call_addresses, called_by, model_addresses, model_asked_for
from services.gateway.telemetry_parts import UNWATCHED, Watching, compose_watching
from services.gateway.transport.client import PooledUpstream
from services.gateway.upstream import Upstream
from services.messaging.consumer import follow
from services.messaging.publisher import Publisher
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames

logger = logging.getLogger(__name__)

ALONE = Place()
LEAVE_TO_OTHERS_SECONDS = 5.0
HOW_IT_RUNS = "compiled" if COMPILED else "not compiled"


class Application:
    """The paths of the gateway, and who serves each."""

    def __init__(
        self, serving: Serving, pages: StatusPages, observation: Observation, feedback: FeedbackPage
    ) -> None:
        self._serving = serving
        self._feedback = feedback
        self._pages: dict[str, Page] = {
            "/healthz": pages.healthz,
            "/readyz": pages.readyz,
            "/metrics": observation.metrics,
            "/endpoints": observation.endpoints,
        }
        self._models = pages.models

    def addresses(self) -> list[tuple[str, str]]:
        """Return the method and path of everything that is served."""
        taken = [*call_addresses(), *feedback_addresses()]
        shown = [*model_addresses(), *self._pages]
        return [*(("POST", path) for path in taken), *(("GET", path) for path in shown)]

    def __call__(self, turn: Turn) -> Coroutine[Any, None, None]:
        """Return what serves the request."""
        call = called_by(turn.path)
        about_feedback = call is None and takes_feedback(turn.path)
        if turn.method == b"POST":
            if call is not None:
                return self._serving.serve(call, turn)
            if about_feedback:
                return _answer(turn, self._feedback.take)
        return self._show(turn, served=call is not None or about_feedback)

    async def _show(self, turn: Turn, *, served: bool) -> None:
        path = turn.path
        page = self._pages.get(path)
        if page is None and model_asked_for(path) is not None:
            page = self._models
        if page is not None and turn.method == b"GET":
            await _answer(turn, page)
        elif page is None and not served:
            nothing = NotFound(f"nothing is served at {path}; try POST /v1/chat/completions")
            turn.answer(*refusal(nothing, given=given_id(turn.headers)))
        else:
            other = MethodNotAllowed(f"{path} takes {'POST' if served else 'GET'} only")
            turn.answer(*refusal(other, given=given_id(turn.headers)))


async def _answer(turn: Turn, page: Page) -> None:
    turn.answer(*await page(turn))


async def serve(
    settings: GatewaySettings,
    kafka: KafkaSettings,
    stop: asyncio.Event,
    *,
    on_listening: Callable[[str], None] = lambda _: None,
    place: Place = ALONE,
) -> None:
    """Serve until ``stop``; then finish what is being served, flush the outcomes and return.

    ``on_listening`` is told the address. ``place`` is given to a process that is one of several.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    bound = listen(settings.host, settings.port) if place.shared is None else place.shared.bound
    place.stop_with_parent(stop)
    publisher = Publisher(kafka, client_id="headgate-gateway")
    outcomes = OutcomePublisher(
        publisher,
        TopicNames(kafka.topic_prefix).outcomes,
        settings.state_dir,
        gather_seconds=settings.gather_seconds,
        limit_bytes=settings.outcome_buffer_bytes,
    )
    store = ConfigStore(on_installation=outcomes.start)
    upstream = PooledUpstream()
    commands = SecretCommands(settings.secret_commands)
    secrets = SecretResolver(commands=commands)
    feedback = compose_feedback(settings, kafka, store, secrets, place)
    ways = ways_for_shadows(settings, kafka, PooledUpstream())
    watching = compose_watching(os.environ, access_log=settings.access_log)
    limiter = compose_limiter(settings, kafka, lambda: store.view.lasting)
    parts = compose(
        settings,
        store,
        upstream,
        outcomes,
        secrets,
        feedback,
        ways,
        watching,
        limiter=limiter,
        place=place,
    )
    try:
        async with _background(settings, kafka, store, commands, parts):
            if place.shared is not None:
                await _until_ready(store, stop)
            logger.info("gateway %s listens on %s (%s)", outcomes.gateway, address_of(bound), HOW_IT_RUNS)
            on_listening(address_of(bound))
            server = CallerServer(parts.application, CallerLimits(settings.max_body_bytes))
            await server.serve_until(bound, stop, grace_seconds=settings.stream_grace_seconds)
    finally:
        await outcomes.stop(within_seconds=settings.flush_grace_seconds)
        await feedback.kafka.stop(within_seconds=settings.flush_grace_seconds)
        await limiter.sharing.stop(within_seconds=settings.flush_grace_seconds)
        await parts.shadows.stop(within_seconds=settings.flush_grace_seconds)
        await watching.stop(within_seconds=settings.flush_grace_seconds)
        await ways.close()
        await publisher.stop()
        await upstream.close()
        logger.info("gateway %s stopped", outcomes.gateway)


@dataclass(frozen=True, slots=True)
class Parts:
    """The application, and what works for it in the background."""

    application: Application
    prober: Prober
    observation: Observation
    shadows: Shadows
    limiter: Limiter


def compose(
    settings: GatewaySettings,
    store: ConfigStore,
    upstream: Upstream,
    outcomes: OutcomePublisher,
    secrets: SecretResolver,
    feedback: FeedbackParts,
    ways: ShadowWays,
    watching: Watching = UNWATCHED,
    *,
    limiter: Limiter,
    clock: Callable[[], float] = time.time,
    place: Place = ALONE,
) -> Parts:
    """Put the parts together. ``clock`` is what evidence leases are judged by."""
    book = HealthBook(None if place.shared is None else place.share)
    selection = Selection(secrets, book, Random())  # noqa: S311 - spreads load, keeps no secret
    budgets = RetryBudgets(settings.retry_budget_share, settings.retry_budget_minimum_per_second)
    failover = Failover(upstream, selection, budgets, max_answer_bytes=settings.max_answer_bytes)
    metrics = Metrics(outcomes)
    shadows = compose_shadows(settings, store, secrets, book, ways, place)
    serving = Serving(
        store,
        failover,
        metrics,
        tokens=feedback.tokens,
        shadows=shadows,
        limiter=limiter,
        watch=watching.watch,
        clock=clock,
    )
    collector = Collector(
        place.number,
        store,
        book,
        metrics,
        budgets,
        outcomes,
        serving,
        feedback=feedback.page,
        shadows=shadows,
        limiter=limiter,
        telemetry=watching.telemetry,
        clock=clock,
    )
    observation = Observation(place, collector, outcomes)
    pages = StatusPages(
        store, selection, outcomes, serving, collector, tokens=feedback.tokens, limiter=limiter, clock=clock
    )
    application = Application(serving, pages, observation, feedback.page)
    return Parts(application, Prober(upstream, secrets, book, clock), observation, shadows, limiter)


async def _until_ready(store: ConfigStore, stop: asyncio.Event) -> None:
    """Leave callers to the other processes until there is something to serve by, unless that takes long."""
    waiting = [asyncio.create_task(event.wait()) for event in (store.first_read, stop)]
    await asyncio.wait(waiting, timeout=LEAVE_TO_OTHERS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


@asynccontextmanager
async def _background(
    settings: GatewaySettings,
    kafka: KafkaSettings,
    store: ConfigStore,
    commands: SecretCommands,
    parts: Parts,
) -> AsyncIterator[None]:
    """Keep current what requests are served by. A bug in there ends the gateway rather than its upkeep."""
    snapshot = snapshot_path(settings.state_dir, kafka)
    if states := load_snapshot(snapshot):
        logger.info("starting from the snapshot %s", snapshot)
        store.restore(states)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(follow(kafka, TopicNames(kafka.topic_prefix).config, store)),
            group.create_task(keep_snapshot(snapshot, store)),
            group.create_task(watch_leases(store)),
            group.create_task(commands.keep_fresh()),
            group.create_task(parts.prober.run(store)),
            group.create_task(parts.observation.report()),
            group.create_task(parts.shadows.run()),
            group.create_task(parts.limiter.sharing.run(store.limited)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
