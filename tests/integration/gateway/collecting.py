"""A collector of telemetry: takes OTLP as protobuf over HTTP, and shows what it was sent."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

KINDS = {2: "server", 3: "client"}


@dataclass(frozen=True)
class Span:
    """A span as it arrived. ``error`` says whether its status is one."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    ended_ns: int
    error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass(frozen=True)
class Histogram:
    """The newest state of one series of a histogram."""

    count: int
    total: float
    bounds: tuple[float, ...]
    attributes: dict[str, Any]
    unit: str


@dataclass
class Collector:
    """What arrived, and how. While ``refusing``, all is answered 503; while ``silent``, nothing is."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    histograms: dict[str, dict[frozenset[tuple[str, Any]], Histogram]] = field(default_factory=dict)
    raw: bytes = b""
    requests: int = 0
    refusing: bool = False
    silent: bool = False

    async def expect(self, count: int) -> list[Span]:
        """Exactly so many spans, waited for."""
        return await self.until(lambda spans: len(spans) >= count, count)

    async def until(self, enough: Callable[[list[Span]], bool], count: int | None = None) -> list[Span]:
        """The spans that came until it was enough."""
        async with asyncio.timeout(60):
            while not enough(self.spans):
                await asyncio.sleep(0.02)
        assert count is None or len(self.spans) == count
        return self.spans

    async def histogram(self, name: str) -> list[Histogram]:
        """Every series of a histogram, waited for."""
        async with asyncio.timeout(60):
            while name not in self.histograms:
                await asyncio.sleep(0.02)
        return list(self.histograms[name].values())

    async def traces(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if self.refusing:
            return web.Response(status=503)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_span(one, resource) for one in scope.spans]
        return _protobuf(ExportTraceServiceResponse())

    async def metrics(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if self.refusing:
            return web.Response(status=503)
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    self._take(metric)
        return _protobuf(ExportMetricsServiceResponse())

    def _take(self, metric: Any) -> None:
        series = self.histograms.setdefault(metric.name, {})
        for point in metric.histogram.data_points:
            attributes = _attributes(point.attributes)
            series[frozenset(attributes.items())] = Histogram(
                point.count, point.sum, tuple(point.explicit_bounds), attributes, metric.unit
            )

    async def _read(self, request: web.Request) -> bytes:
        assert request.content_type == "application/x-protobuf"
        self.requests += 1
        if self.silent:
            await asyncio.Event().wait()
        body = await request.read()
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        self.raw += body
        return body


def _span(one: Any, resource: dict[str, Any]) -> Span:
    return Span(
        one.name,
        KINDS[one.kind],
        one.trace_id.hex(),
        one.span_id.hex(),
        one.parent_span_id.hex(),
        one.start_time_unix_nano,
        one.end_time_unix_nano,
        one.status.code == 2,
        _attributes(one.attributes),
        resource,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(one) for one in value.array_value.values)
    return None if kind is None else getattr(value, kind)


def _protobuf(message: Any) -> web.Response:
    return web.Response(body=message.SerializeToString(), content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/v1/traces", collector.traces)
    application.router.add_post("/v1/metrics", collector.metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        collector.url = f"http://{host}:{port}"
        yield collector
    finally:
        await runner.cleanup()
