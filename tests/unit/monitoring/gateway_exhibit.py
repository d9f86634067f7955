"""A gateway's page with every metric on it: its real collector, over parts that are as much as it reads."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from services.domain.configuration import EndpointConfig, TeamConfig
from services.domain.events import Attempt, Outcome, UnitSource
from services.domain.limits import Limits
from services.domain.status import OutcomeStatus
from services.gateway.collector import Collector
from services.gateway.exposition import render
from services.gateway.health import DEFAULT_BREAKER, EndpointHealth, ProbeResult
from services.gateway.metrics import Metrics
from services.gateway.retry_budget import RetryBudget
from services.gateway.view import ConfigView


def gateway_page() -> str:
    """Return the page of a gateway that has met everything once."""
    families = collector().families()
    # One without samples would be missing in the document, and in what the rules may use.
    assert [family.name for family in families if not family.rows] == [], "give the exhibit a sample of it"
    return render([families])[1].decode()


def collector() -> Collector:
    """Return its collector."""
    parts: dict[str, Any] = {
        "feedback": SimpleNamespace(accepted=2, rejected=Counter(expired=1)),
        "shadows": SimpleNamespace(by_phase={(UUID(int=1), 1): _mirror()}),
        "limiter": _limiter(),
        "telemetry": SimpleNamespace(
            deliveries={"traces": SimpleNamespace(signal="traces", exported=5, failed=1)}
        ),
    }
    outcomes: Any = SimpleNamespace(offered=3, acknowledged=2, shed=1, waiting_bytes=90)
    serving: Any = SimpleNamespace(rejections=Counter(unknown_route=1), rejected=1, active=1)
    retries = RetryBudget(0.2, 3.0)
    budgets: Any = SimpleNamespace(by_route={"chat": {"small": retries}})
    book: Any = SimpleNamespace(by_key={"east": _health()})
    return Collector(0, _store(), book, _metrics(), budgets, outcomes, serving, **parts)


def _store() -> Any:
    view = ConfigView()
    view.endpoints["east"] = EndpointConfig(
        version=(1, 1), key="east", endpoint_kind="openai", base_url="http://east"
    )
    view.teams["web"] = TeamConfig(version=(1, 1), key="web", limits=Limits(dollars_per_day=5.0))
    test = SimpleNamespace(
        covariate_header="x-spend", unreadable_covariates=1, config=SimpleNamespace(key="prompt")
    )
    config = SimpleNamespace(experiment=None, test=None, limits=None)
    view.routes["chat"] = SimpleNamespace(test=test, config=config)  # type: ignore[assignment]
    return SimpleNamespace(view=view, ready=True, age_seconds=1.5)


def _health() -> EndpointHealth:
    health = EndpointHealth("east")
    health.probe = ProbeResult(healthy=True, failures=0, detail="", at=time.time())
    health.breaker("gpt", DEFAULT_BREAKER)
    return health


def _metrics() -> Metrics:
    metrics = Metrics(SimpleNamespace(offer=lambda _: None))
    ok = OutcomeStatus.OK
    metrics.offer(
        Outcome(
            request_id="r",
            route_key="chat",
            variant_key="small",
            unit_hash=1,
            unit_source=UnitSource.USER,
            status=ok,
            http_status=200,
            started_at_us=0,
            latency_us=250_000,
            first_token_us=80_000,
            prompt_tokens=20,
            completion_tokens=10,
            streamed=True,
            attempts=(Attempt("east", ok, 200, 250_000),),
            cost_nanos=1_000,
            team_key="web",
            cached_tokens=5,
        ),
        metrics.counts_of("chat", "small"),
    )
    return metrics


def _limiter() -> Any:
    meters = SimpleNamespace(by_scope={1: None}, evicted=0)
    standing = SimpleNamespace(together=True, replicas=2)
    ledger = SimpleNamespace(standing=standing, held=1, meters=meters)
    sharing = SimpleNamespace(begun=True)
    return SimpleNamespace(ledger=ledger, refusals={("team", "tokens"): 1}, sharing=sharing, claims=1)


def _mirror() -> Any:
    return SimpleNamespace(
        config=SimpleNamespace(key="mirror"),
        sampled=4,
        compared=2,
        failed=1,
        shed={"queue": 1},
        slots=SimpleNamespace(taken=1),
        waiting=[object()],
        spending=SimpleNamespace(total_nanos=1_000),
    )
