"""``/metrics``: what the control plane was asked, by route, and how long it took to answer."""

from __future__ import annotations

import platform
import time
from http import HTTPMethod
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

router = APIRouter(tags=["health"])

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
UNKNOWN = "unknown"
"""The route of a request that was refused before it met one, or met none; labels come from us alone."""


class ApiMetrics:
    """The counters of one api process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "headgate_api_requests",
            "Requests, by the path of the route they met.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "headgate_api_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ["method", "route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._active = Gauge("headgate_api_requests_active", "Requests under way.", registry=registry)
        ProcessCollector(registry=registry)
        build = Gauge(
            "headgate_build_info", "1. Which release runs.", ["version", "python"], registry=registry
        )
        build.labels(version("headgate"), platform.python_version()).set(1)

    def began(self) -> None:
        """Note a request."""
        self._active.inc()

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note how it ended."""
        known = method if method in HTTPMethod.__members__ else UNKNOWN
        self._active.dec()
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)


class Observed:
    """ASGI middleware: notes every request. Outside of whatever may refuse one."""

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Until an answer begins it is none: whoever raises past here is answered with 500.
        status, started = 500, time.monotonic()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.began()
        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", UNKNOWN)
            self._metrics.ended(scope["method"], route, status, time.monotonic() - started)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Answer in Prometheus' text format."""
    registry: CollectorRegistry = request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
