"""Reads the plain integers that the gateway's parts keep, when somebody asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from services.domain.configuration import EndpointConfig
from services.gateway.breaker import Breaker, BreakerState
from services.gateway.config import ConfigStore
from services.gateway.exposition import Family, Figures
from services.gateway.feedback_page import FeedbackPage
from services.gateway.health import EndpointHealth, HealthBook
from services.gateway.leases import blind_experiments
from services.gateway.limit_figures import add_budgets, add_limits
from services.gateway.limiting.limiter import Limiter
from services.gateway.metrics import Metrics
from services.gateway.outcomes import OutcomePublisher
from services.gateway.process_figures import add_process
from services.gateway.request_figures import add_requests
from services.gateway.retry_budget import RetryBudgets
from services.gateway.serving import Serving
from services.gateway.shadow import Shadows

if TYPE_CHECKING:
    from services.gateway.telemetry.exporting import Telemetry


class Collector:
    """One process's figures. ``process`` is its number, ``clock`` wall time in seconds."""

    def __init__(
        self,
        process: int,
        store: ConfigStore,
        book: HealthBook,
        metrics: Metrics,
        budgets: RetryBudgets,
        outcomes: OutcomePublisher,
        serving: Serving,
        *,
        feedback: FeedbackPage,
        shadows: Shadows,
        limiter: Limiter | None = None,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.process = process
        self._store = store
        self._book = book
        self._metrics = metrics
        self._budgets = budgets
        self._outcomes = outcomes
        self._serving = serving
        self._feedback = feedback
        self._shadows = shadows
        self._limiter = limiter
        self._telemetry = telemetry
        self._clock = clock

    def families(self) -> list[Family]:
        """Return every metric. Safe in another thread than the one that counts."""
        figures = Figures({"process": str(self.process)})
        self._requests(figures)
        self._endpoints(figures)
        self._retries(figures)
        self._outcomes_to_kafka(figures)
        self._feedback_taken(figures)
        self._tests(figures)
        self._mirrored(figures)
        if self._limiter is not None:
            add_limits(figures, self._limiter)
            add_budgets(figures, self._limiter, self._store.view, self._clock())
        self._configuration(figures)
        self._exports(figures)
        add_process(figures)
        return figures.families

    def endpoints(self) -> list[dict[str, Any]]:
        """Return how each endpoint is, without its address and its secret."""
        now = time.monotonic()
        return [_endpoint(endpoint, health, now) for endpoint, health in self._known()]

    def _requests(self, figures: Figures) -> None:
        add_requests(figures, self._metrics)
        serving = self._serving
        refused = "Requests that the gateway refused before they were routed, by the error's code."
        figures.family("headgate_rejected_total", "counter", refused)
        for code, count in _items(serving.rejections):
            figures.sample(count, code=code)
        figures.single("headgate_requests_active", "gauge", "Requests under way.", serving.active)

    def _endpoints(self, figures: Figures) -> None:
        known, now = self._known(), time.monotonic()
        figures.family("headgate_endpoint_in_flight", "gauge", "Attempts under way.")
        for endpoint, health in known:
            figures.sample(health.in_flight, endpoint=endpoint.key)
        figures.family("headgate_endpoint_drained", "gauge", "1 while it is drained by hand.")
        for endpoint, _ in known:
            figures.sample(endpoint.drained, endpoint=endpoint.key)
        figures.family("headgate_endpoint_probe_healthy", "gauge", "What its active probe says: 1 healthy.")
        for endpoint, health in known:
            if health.probe is not None:
                figures.sample(health.probe.healthy, endpoint=endpoint.key)
        breakers = [
            ({"endpoint": endpoint.key, "model": model}, breaker)
            for endpoint, health in known
            for model, breaker in _items(health.breakers)
        ]
        figures.family("headgate_breaker_state", "gauge", "0 closed, 1 half-open, 2 open.")
        for labels, breaker in breakers:
            figures.sample(breaker.state(now), **labels)
        figures.family("headgate_breaker_opened_total", "counter", "How often it has opened.")
        for labels, breaker in breakers:
            figures.sample(breaker.opened, **labels)

    def _retries(self, figures: Figures) -> None:
        budgets = [
            ({"route": route, "variant": variant}, budget)
            for route, by_variant in _items(self._budgets.by_route)
            for variant, budget in _items(by_variant)
        ]
        figures.family("headgate_retries_total", "counter", "Attempts after the first of a request.")
        for labels, budget in budgets:
            figures.sample(budget.spent, **labels)
        refused = "Failures that were passed on because the retry budget was empty."
        figures.family("headgate_retry_budget_exhausted_total", "counter", refused)
        for labels, budget in budgets:
            figures.sample(budget.refused, **labels)

    def _outcomes_to_kafka(self, figures: Figures) -> None:
        outcomes = self._outcomes
        for name, help_, value in (
            ("offered", "Outcomes that came to be.", outcomes.offered),
            ("acknowledged", "Outcomes that Kafka has.", outcomes.acknowledged),
            ("shed", "Outcomes given up because Kafka did not take them.", outcomes.shed),
        ):
            figures.single(f"headgate_outcomes_{name}_total", "counter", help_, value)
        waiting = "Outcomes that wait for Kafka's acknowledgement."
        figures.single("headgate_outcomes_waiting_bytes", "gauge", waiting, outcomes.waiting_bytes)

    def _feedback_taken(self, figures: Figures) -> None:
        feedback = self._feedback
        accepted = "Pieces of feedback that Kafka has."
        figures.single("headgate_feedback_accepted_total", "counter", accepted, feedback.accepted)
        refused = "Requests with feedback that were refused, by the error's code."
        figures.family("headgate_feedback_rejected_total", "counter", refused)
        for code, count in _items(feedback.rejected):
            figures.sample(count, code=code)

    def _tests(self, figures: Figures) -> None:
        help_ = (
            "Requests whose covariate was no number within ±1,000,000, since the route was last configured."
        )
        figures.family("headgate_covariates_unreadable_total", "counter", help_)
        for key, route in _items(self._store.view.routes):
            if route.test is not None and route.test.covariate_header is not None:
                test = route.test
                figures.sample(test.unreadable_covariates, route=key, test=test.config.key)

    def _mirrored(self, figures: Figures) -> None:
        mirrors = [({"experiment": one.config.key}, one) for _, one in _items(self._shadows.by_phase)]
        ended = "Requests sampled for a shadow, by what became of them."
        figures.family("headgate_shadow_requests_total", "counter", ended)
        for labels, mirror in mirrors:
            known = {"sampled": mirror.sampled, "compared": mirror.compared, "failed": mirror.failed}
            for kind, count in (known | {f"shed_{why}": n for why, n in _items(mirror.shed)}).items():
                figures.sample(count, became=kind, **labels)
        figures.family("headgate_shadow_in_flight", "gauge", "Requests that a shadow has under way.")
        for labels, mirror in mirrors:
            figures.sample(mirror.slots.taken, **labels)
        figures.family("headgate_shadow_waiting", "gauge", "Requests that wait to be mirrored.")
        for labels, mirror in mirrors:
            figures.sample(len(mirror.waiting), **labels)
        figures.family("headgate_shadow_cost_dollars_total", "counter", "What a shadow's answers cost.")
        for labels, mirror in mirrors:
            figures.sample(mirror.spending.total_nanos / 1e9, **labels)

    def _configuration(self, figures: Figures) -> None:
        store, view = self._store, self._store.view
        timeline, counter = max((state.version for _, state in _items(view.states)), default=(0, 0))
        blind = len(blind_experiments(view, self._clock()))
        for name, help_, value in (
            ("ready", "1 once there is a configuration to serve by.", store.ready),
            ("config_timeline", "The database timeline of the newest configuration.", timeline),
            ("config_version", "The counter of the newest configuration on that timeline.", counter),
            ("config_age_seconds", "How long ago any of it last changed.", store.age_seconds or 0.0),
            ("routes", "Routes served.", len(view.routes)),
            ("experiments_blind", "Running experiments that nobody measures.", blind),
        ):
            figures.single(f"headgate_{name}", "gauge", help_, value)

    def _exports(self, figures: Figures) -> None:
        deliveries = [] if self._telemetry is None else list(self._telemetry.deliveries.values())
        taken = "Spans, and reports of metrics, that a collector of telemetry took."
        figures.family("headgate_telemetry_exported_total", "counter", taken)
        for delivery in deliveries:
            figures.sample(delivery.exported, signal=delivery.signal)
        figures.family("headgate_telemetry_failed_total", "counter", "The same that none took.")
        for delivery in deliveries:
            figures.sample(delivery.failed, signal=delivery.signal)

    def _known(self) -> list[tuple[EndpointConfig, EndpointHealth]]:
        endpoints = sorted(_items(self._store.view.endpoints))
        return [(endpoint, self._book.by_key.get(key) or EndpointHealth(key)) for key, endpoint in endpoints]


def _items(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    # One step for the interpreter, so the thread that counts cannot add to it meanwhile.
    return list(mapping.items())


def _endpoint(endpoint: EndpointConfig, health: EndpointHealth, now: float) -> dict[str, Any]:
    probe = health.probe
    return {
        "key": endpoint.key,
        "priority": endpoint.priority,
        "weight": endpoint.weight,
        "drained": endpoint.drained,
        "in_flight": health.in_flight,
        "max_concurrency": endpoint.max_concurrency,
        "probe": None
        if probe is None
        else {"healthy": probe.healthy, "failures": probe.failures, "detail": probe.detail, "at": probe.at},
        "breakers": [_breaker(model, breaker, now) for model, breaker in _items(health.breakers)],
    }


def _breaker(model: str, breaker: Breaker, now: float) -> dict[str, Any]:
    return {
        "model": model,
        "state": breaker.state(now).name.lower(),
        "tried_again_in_seconds": breaker.wait_seconds(now),
        "opened": breaker.opened,
    }


def is_troubled(endpoint: dict[str, Any]) -> bool:
    """Say whether an endpoint is not asked as usual."""
    probe = endpoint["probe"]
    return (
        endpoint["drained"]
        or (probe is not None and not probe["healthy"])
        or any(breaker["state"] != BreakerState.CLOSED.name.lower() for breaker in endpoint["breakers"])
    )
