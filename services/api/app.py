"""The control plane: a FastAPI application on Postgres alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from importlib.metadata import version

import uvicorn
from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api import (
    documentation,
    dry_run,
    endpoints,
    experiments,
    health,
    keys,
    metrics,
    results,
    routes,
    shadow_comparisons,
    trail,
    variants,
    verbs,
)
from services.api.guard import Guard, bearer
from services.api.problems import add_problem_handlers
from services.api.settings import ApiSettings
from services.domain.errors import InvalidDefinition
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

logger = logging.getLogger(__name__)

DESCRIPTION = """
Define endpoints, variants, routes, metrics, canaries and A/B tests; start, pause, promote and roll back; see
what an experiment is waiting for, and what it found. Every address under `/v1` takes the admin key as a
bearer token. Every error is `application/problem+json`.
"""


def create_app(settings: ApiSettings, engine: AsyncEngine) -> FastAPI:
    """Return the application. Raises InvalidDefinition where no admin key is set."""
    admin_key = settings.admin_key.get_secret_value()
    if not admin_key:
        raise InvalidDefinition(
            "HEADGATE_ADMIN_KEY",
            "is not set; set it to a long random string, as whoever has it controls all traffic",
        )
    app = FastAPI(
        title="Headgate control plane",
        version=version("headgate"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.state.engine = engine
    app.add_middleware(Guard, admin_key=admin_key)
    add_problem_handlers(app)
    app.include_router(health.router)
    app.include_router(documentation.router)
    for resource in (
        endpoints,
        variants,
        routes,
        metrics,
        experiments,
        dry_run,
        verbs,
        results,
        shadow_comparisons,
        keys,
        trail,
    ):
        app.include_router(resource.router, dependencies=[Depends(bearer)])
    return app


async def serve(settings: ApiSettings, database: DatabaseSettings, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set."""
    engine = create_engine(database, application_name="headgate-api")
    try:
        app = create_app(settings, engine)
        config = uvicorn.Config(
            app,
            host=settings.api_host,
            port=settings.api_port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        logger.info("control plane at http://%s:%d", settings.api_host, settings.api_port)
        await _serve_until(_Server(config), stop)
    finally:
        await engine.dispose()


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
