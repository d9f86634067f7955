"""The way out: exporters, what gathers for them, and an orderly end.

Spans are gathered in a queue of a fixed length (``OTEL_BSP_MAX_QUEUE_SIZE``) that a thread empties; when it
is full, the oldest are lost. Sampler, limits, endpoint and headers are what OpenTelemetry's variables say.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from urllib.parse import urlsplit
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from services.gateway.telemetry.choosing import Signal
from services.gateway.telemetry.delivery import Delivery
from services.gateway.telemetry.meters import Meters
from services.gateway.telemetry.tracing import RequestTrace
from services.gateway.watching import Watch

logger = logging.getLogger(__name__)

SERVICE_NAME = "headgate-gateway"
TRACER = "headgate.gateway"


class _Spans(OTLPSpanExporter):
    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self._delivery = delivery

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self._delivery.note(
            len(spans), succeeded=result is SpanExportResult.SUCCESS, address=_place(self._endpoint)
        )
        return result


class _Metrics(OTLPMetricExporter):
    def __init__(self, delivery: Delivery) -> None:
        super().__init__()
        self._delivery = delivery

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self._delivery.note(1, succeeded=result is MetricExportResult.SUCCESS, address=_place(self._endpoint))
        return result


class Telemetry:
    """Exports the signals, from threads of its own. Made in the process that serves, after any fork."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        _hush()
        self.deliveries = {signal: Delivery(signal) for signal in sorted(signals)}
        resource = _resource()
        self._stops: list[Callable[[], None]] = []
        tracers = self._tracers(resource)
        meters = self._meters(resource)
        tracer = tracers.get_tracer(TRACER, version("headgate"))
        self.watch: Watch = partial(RequestTrace, tracer, meters)

    async def stop(self, *, within_seconds: float) -> None:
        """Export what is waiting, as far as the time allows."""
        stopping = [asyncio.create_task(_in_thread(stop)) for stop in self._stops]
        if not stopping:
            return
        _, late = await asyncio.wait(stopping, timeout=within_seconds)
        for task in late:
            task.cancel()
        if late:
            logger.warning("stopping with telemetry that no collector has taken")

    def _tracers(self, resource: Resource) -> TracerProvider:
        delivery = self.deliveries.get("traces")
        if delivery is None:
            return TracerProvider(ALWAYS_OFF, resource, shutdown_on_exit=False)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(_Spans(delivery)))
        self._stops.append(provider.shutdown)
        return provider

    def _meters(self, resource: Resource) -> Meters | None:
        delivery = self.deliveries.get("metrics")
        if delivery is None:
            return None
        reader = PeriodicExportingMetricReader(_Metrics(delivery))
        provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._stops.append(provider.shutdown)
        return Meters(provider)


def _place(url: str) -> str:
    """Return whose address it is, without what may be a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _resource() -> Resource:
    """Say who we are, unless the environment says it. Each process is an instance of its own."""
    ours = {
        "service.name": SERVICE_NAME,
        "service.version": version("headgate"),
        "service.instance.id": str(uuid4()),
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _hush() -> None:
    # It writes a line for each export that fails, each try of it, and each span that finds the queue full.
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


async def _in_thread(stop: Callable[[], None]) -> None:
    """Run what may hang in a thread that nothing waits for when this process ends."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            stop()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="telemetry-stop", daemon=True).start()
    await done.wait()
