"""The control plane: a FastAPI application on Postgres alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api import (
    blue_green_verbs,
    decisions,
    documentation,
    dry_run,
    endpoints,
    experiments,
    freezes,
    health,
    keys,
    metrics,
    monitoring,
    results,
    routes,
    shadow_comparisons,
    teams,
    trail,
    usage,
    variants,
    verbs,
    webhooks,
)
from services.api.callers import Callers, check_somebody_may_come_in
from services.api.guard import Guard
from services.api.health_checker import HealthChecker
from services.api.openapi import document
from services.api.problems import add_problem_handlers
from services.api.settings import ApiSettings
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

logger = logging.getLogger(__name__)

PARTS = (
    health,
    monitoring,
    documentation,
    endpoints,
    variants,
    freezes,  # before routes, whose keys may hold slashes
    routes,
    metrics,
    experiments,
    dry_run,
    verbs,
    blue_green_verbs,
    results,
    shadow_comparisons,
    teams,
    keys,
    trail,
    decisions,
    usage,
    webhooks,
)

DESCRIPTION = """
Define endpoints, variants, routes, metrics and experiments; start, pause, promote and roll back; see what an
experiment is waiting for, and what it found. Every address under `/v1` takes a key as a bearer token, and
says which role the key must have: `viewer`, `editor` or `admin`.

- Every error is `application/problem+json`, and its `detail` says what to do.
- What is shown of one thing has an `ETag`. Sent back as `If-Match`, a change is done only to what was seen.
- A POST may carry an `Idempotency-Key`. Sent again, it is answered as before and changes nothing more.
- Lists have pages: `next_cursor` of one is the `cursor` of the next.
"""


def create_app(settings: ApiSettings, engine: AsyncEngine) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="Headgate control plane",
        version=version("headgate"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.state.engine = engine
    app.state.health_checker = HealthChecker(settings)
    app.add_middleware(Guard, callers=Callers(settings.admin_key.get_secret_value(), engine))
    app.state.metrics = monitoring.ApiMetrics()
    app.add_middleware(monitoring.Observed, metrics=app.state.metrics)
    add_problem_handlers(app)
    for part in PARTS:
        # Not include_router, which makes each route anew, with all its validators, at the first request.
        app.router.routes.extend(part.router.routes)
    document(app)
    return app


async def serve(settings: ApiSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set. Raises InvalidDefinition where nobody could come in."""
    engine = create_engine(database, application_name="headgate-api")
    try:
        await check_somebody_may_come_in(settings.admin_key.get_secret_value(), engine)
        config = server_config(create_app(settings, engine), settings)
        logger.info("control plane at http://%s:%d", settings.api_host, settings.api_port)
        await _serve_until(_Server(config), stop)
    finally:
        await engine.dispose()


def server_config(app: FastAPI, settings: ApiSettings) -> uvicorn.Config:
    """Return how the application is served."""
    return uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=5,
    )


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs the process decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve_until(server: _Server, stop: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving
