"""A page of each service with every metric on it, from its real registry, counted up by hand."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

from prometheus_client import generate_latest

from services.api.monitoring import ApiMetrics
from services.cli.exposing import about_process
from services.routing.metrics import Gauges as RoutingGauges
from services.routing.metrics import RoutingMetrics
from services.storage.counting import Advance, Flush, GatewayAdvance, QualityCount
from services.storage.counting_totals import CountingTotals
from services.storage.overview import Decided, Overview, Waiting
from services.workers.gauges import Gauges as WorkerGauges
from services.workers.metrics import WorkerMetrics
from tests.unit.monitoring.gateway_exhibit import gateway_page

EXPERIMENT = uuid.UUID(int=7)


def pages() -> dict[str, str]:
    """Return what each service would answer to GET /metrics."""
    return {"gateway": gateway_page(), "worker": worker_page(), "routing": routing_page(), "api": api_page()}


def worker_page() -> str:
    """A worker that counted something, evaluates a canary, and is behind by four records."""
    metrics = WorkerMetrics()
    metrics.claimed([3])
    metrics.flushed(a_flush(), 0.004)
    metrics.registry.register(
        WorkerGauges(
            metrics,
            SimpleNamespace(log_end=lambda _: 24),
            SimpleNamespace(offsets={3: 20}, unwritten=5),
            SimpleNamespace(offsets={3: 12}),
            SimpleNamespace(owned=2, watches=[a_watch()]),
            SimpleNamespace(measured_at={EXPERIMENT: 1_000.0}),  # type: ignore[arg-type]
            clock=lambda: 1_003.0,
        )
    )
    about_process(metrics.registry)
    return generate_latest(metrics.registry).decode()


def a_flush() -> Flush:
    """Ten records of partition 3, with everything that can be noticed."""
    moved = Advance(3, 1, 10, 20, 0, None, None, 90, 4, 1, time.monotonic())
    gateway = GatewayAdvance(3, uuid.UUID(int=1), 96, 90, 4, 2)
    return Flush("outcomes.v1", [moved], [gateway], quality=[QualityCount(EXPERIMENT, 1, "feedback", 3)])


def a_watch() -> Any:
    """A canary as the worker that evaluates it knows it."""
    experiment = SimpleNamespace(
        key="canary", route_key="chat", kind="canary", stage="ramp", definition=SimpleNamespace()
    )
    guardrail = SimpleNamespace(metric="error_rate", variant=None, figures={"e_value": 1.5})
    evaluation = SimpleNamespace(
        judgement=SimpleNamespace(rule="hold_for_evidence"),
        situation=SimpleNamespace(guardrails=[guardrail]),
        inputs=SimpleNamespace(definition=SimpleNamespace(lease_limit_seconds=60.0)),
    )
    allocation = SimpleNamespace(treatment_share_bp=500, test=None)
    snapshot = SimpleNamespace(experiment=experiment, allocation=allocation)
    judged = SimpleNamespace(snapshot=snapshot, evaluation=evaluation)
    return SimpleNamespace(experiment_id=EXPERIMENT, judged=judged, judged_at=time.monotonic())


def an_overview() -> Overview:
    """A database in which something of everything is."""
    return Overview(
        routes=("chat", "search"),
        outbox=Waiting(2, 0.5),
        decisions=Waiting(1, 0.25),
        deliveries={"pager": Waiting(3, 60.0)},
        decided={
            Decided("chat", "canary", "rollback", "applied", True): 2,
            Decided("chat", "canary", "rollback", "dropped", True): 1,
            Decided("chat", "canary", "advance", "recorded", True): 1,
            Decided("chat", "ab_test", "rollback", "applied", True): 3,
            Decided("search", "blue_green", "rollback", "applied", False): 1,
        },
        running={"canary": 1, "shadow": 2},
        books=CountingTotals(1_000, 10, 3, 2, 5),
    )


def routing_metrics() -> RoutingMetrics:
    """What a routing process that leads counts."""
    metrics = RoutingMetrics()
    metrics.looked(an_overview())
    metrics.tried("pager", "failed", 0.2)
    metrics.registry.register(RoutingGauges(metrics, SimpleNamespace(leading=True, published=4)))
    return metrics


def routing_page() -> str:
    """Its page."""
    metrics = routing_metrics()
    about_process(metrics.registry)
    return generate_latest(metrics.registry).decode()


def api_page() -> str:
    """An api that was asked once."""
    metrics = ApiMetrics()
    metrics.began()
    metrics.ended("GET", "/v1/routes/{key}", 200, 0.01)
    return generate_latest(metrics.registry).decode()
