"""Showing the metrics of a process that has no other port to show them on."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

logger = logging.getLogger(__name__)


@contextmanager
def metrics_at(host: str, port: int | None, registry: CollectorRegistry) -> Iterator[int | None]:
    """Answer GET /metrics while the context is open, at the port it gives; not at all where that is None.

    In a thread of its own: a process whose loop hangs can still be asked.
    """
    if port is None:
        yield None
        return
    about_process(registry)
    server, thread = start_http_server(port, host, registry)
    logger.info("metrics at http://%s:%d/metrics", host, server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def about_process(registry: CollectorRegistry) -> None:
    """Add what is to be known of any process: which release it runs, its memory, CPU time and files."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Gauge("headgate_build_info", "1. Which release runs.", ["version", "python"], registry=registry)
    build.labels(version("headgate"), platform.python_version()).set(1)
