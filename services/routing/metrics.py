"""What routing counts about itself, and what it sees in the database.

Decisions are counted in the database and not here: whichever process applied them, and however often it was
started since, their counters go on. Every routing process shows the same of these: take the ``max``.
"""

from __future__ import annotations

import time
from collections import Counter as Multiset
from collections.abc import Iterator
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.domain.events import DecisionAction
from services.domain.experiment import ExperimentKind
from services.storage.overview import Overview

TryResult = Literal["delivered", "failed", "given_up"]

APPLY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
DELAY_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DELIVERY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

KINDS: tuple[ExperimentKind, ...] = ("canary", "ab_test", "blue_green")
SHADOW: tuple[ExperimentKind, ...] = ("shadow",)
ACTIONS: tuple[DecisionAction, ...] = ("advance", "promote", "rollback")
BY = {True: "policy", False: "person"}


class RoutingMetrics:
    """The counters of one routing process. ``overview`` is what the database said last, and when."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.overview: tuple[Overview, float] | None = None
        self.started_at = time.monotonic()
        self._apply_seconds = Histogram(
            "headgate_routing_apply_duration_seconds",
            "How long the transaction took that applied or dropped a decision.",
            ["action"],
            buckets=APPLY_SECONDS,
            registry=registry,
        )
        self._delay_seconds = Histogram(
            "headgate_routing_decision_delay_seconds",
            "From when a decision was made to when the route's traffic was changed in the database.",
            ["action"],
            buckets=DELAY_SECONDS,
            registry=registry,
        )
        self._tries = Counter(
            "headgate_webhook_tries",
            "Tries to deliver a message; given_up is the last one of a message that nobody took.",
            ["webhook", "result"],
            registry=registry,
        )
        self._delivery_seconds = Histogram(
            "headgate_webhook_duration_seconds",
            "How long receivers took to answer, or not to.",
            buckets=DELIVERY_SECONDS,
            registry=registry,
        )
        for action in ACTIONS:
            self._apply_seconds.labels(action)
            self._delay_seconds.labels(action)

    def looked(self, overview: Overview) -> None:
        """Take over what the database says."""
        self.overview = (overview, time.monotonic())
        for webhook in overview.deliveries:
            self._begin(webhook)

    def settled(self, action: DecisionAction, seconds: float) -> None:
        """Note a decision that was applied or dropped."""
        self._apply_seconds.labels(action).observe(seconds)

    def applied(self, action: DecisionAction, delay_seconds: float) -> None:
        """Note how long after it was made a decision was applied."""
        self._delay_seconds.labels(action).observe(max(delay_seconds, 0.0))

    def tried(self, webhook: str, result: TryResult, seconds: float) -> None:
        """Note a try to deliver a message."""
        self._begin(webhook)
        self._tries.labels(webhook, result).inc()
        self._delivery_seconds.observe(seconds)

    def _begin(self, webhook: str) -> None:
        for result in ("delivered", "failed", "given_up"):
            self._tries.labels(webhook, result)


class Relay(Protocol):
    """The outbox relay, as far as it is watched."""

    leading: bool
    published: int


class Gauges(Collector):
    """A collector of what the database said last, and of the relay."""

    def __init__(self, metrics: RoutingMetrics, relay: Relay) -> None:
        self._metrics = metrics
        self._relay = relay

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: registering must not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return everything; of the database nothing before the first look."""
        leading = "1 while this process carries the outbox to Kafka; of all processes one does."
        yield GaugeMetricFamily("headgate_relay_leading", leading, float(self._relay.leading))
        published = "Records of the outbox that this process carried to Kafka."
        yield CounterMetricFamily("headgate_relay_published", published, self._relay.published)
        looked_at = self._metrics.started_at
        if self._metrics.overview is not None:
            overview, looked_at = self._metrics.overview
            yield from _waiting(overview)
            yield from _decided(overview)
            yield from _books(overview)
        age = "How long ago the database was last read for these figures; from the start, before that."
        yield GaugeMetricFamily("headgate_routing_look_age_seconds", age, time.monotonic() - looked_at)


def _waiting(overview: Overview) -> Iterator[Metric]:
    outbox, decisions = overview.outbox, overview.decisions
    for name, help_, value in (
        ("outbox_records", "Records that wait to go from the database to Kafka.", outbox.n),
        ("outbox_oldest_age_seconds", "How long the oldest of them waits.", outbox.oldest_seconds),
        ("decisions_waiting", "Decisions that are recorded and neither applied nor dropped.", decisions.n),
        ("decisions_oldest_age_seconds", "How long the oldest of them waits.", decisions.oldest_seconds),
    ):
        yield GaugeMetricFamily(f"headgate_{name}", help_, value)
    messages = GaugeMetricFamily(
        "headgate_webhook_waiting", "Messages that wait to be delivered.", labels=["webhook"]
    )
    ages = GaugeMetricFamily(
        "headgate_webhook_oldest_age_seconds", "How long the oldest of them waits.", labels=["webhook"]
    )
    for webhook, waiting in overview.deliveries.items():
        messages.add_metric([webhook], waiting.n)
        ages.add_metric([webhook], waiting.oldest_seconds)
    yield from (messages, ages)


def _decided(overview: Overview) -> Iterator[Metric]:
    rolled_back = Multiset({(route, by): 0 for route in overview.routes for by in BY.values()})
    settled = Multiset(
        {
            (kind, action, state, by): 0
            for kind in KINDS
            for action in ACTIONS
            for state in ("applied", "dropped")
            for by in BY.values()
        }
    )
    for one, n in overview.decided.items():
        if one.state == "recorded":
            continue
        settled[one.kind, one.action, one.state, BY[one.by_policy]] += n
        if (one.action, one.state) == ("rollback", "applied"):
            rolled_back[one.route_key, BY[one.by_policy]] += n
    decided = CounterMetricFamily(
        "headgate_decisions",
        "Decisions by what they were about and what came of them, since the installation was created.",
        labels=["kind", "action", "result", "by"],
    )
    for labels, n in sorted(settled.items()):
        decided.add_metric(labels, n)
    rollbacks = CounterMetricFamily(
        "headgate_rollbacks",
        "Rollbacks that changed a route's traffic, since the installation was created.",
        labels=["route", "by"],
    )
    for route_by, n in sorted(rolled_back.items()):
        rollbacks.add_metric(route_by, n)
    running = GaugeMetricFamily("headgate_experiments", "Experiments that run.", labels=["kind"])
    for kind in KINDS + SHADOW:
        running.add_metric([kind], overview.running.get(kind, 0))
    yield from (decided, rollbacks, running)


def _books(overview: Overview) -> Iterator[Metric]:
    books = overview.books
    for name, help_, value in (
        ("outcomes", "Outcomes counted, once each.", books.outcomes_counted),
        ("duplicates", "Outcomes that came again and were not counted again.", books.duplicates_dropped),
        ("missing_outcomes", "Outcomes that a gateway numbered and that never arrived.", books.missing),
        ("lost_records", "Records that Kafka removed before they were counted.", books.records_lost),
        ("dead_letters", "Outcomes put aside because they cannot be counted.", books.dead_lettered),
    ):
        yield CounterMetricFamily(f"headgate_books_{name}", f"On the books: {help_}", value)
