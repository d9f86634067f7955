"""What this process knows of each endpoint: requests under way, breakers, the last active probe."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from services.domain.configuration import BreakerSettings, EndpointConfig
from services.domain.events import Attempt
from services.domain.status import OutcomeStatus
from services.gateway.breaker import Breaker, Permit, Result
from services.gateway.limits import SharedCount

DEFAULT_BREAKER = BreakerSettings()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How the last active probes went. ``at`` is wall time in seconds."""

    healthy: bool
    failures: int
    detail: str
    at: float


class EndpointHealth:
    """One endpoint. There is a breaker for each model it is asked for.

    Models fail, and are limited, one by one behind the same address; and a treatment that asks for a model
    which does not work must not take the endpoint away from its control.
    """

    __slots__ = ("_shared", "breakers", "in_flight", "key", "probe")

    def __init__(self, key: str) -> None:
        self.key = key
        self.in_flight = 0
        self.breakers: dict[str, Breaker] = {}
        self.probe: ProbeResult | None = None
        self._shared: SharedCount | None = None

    def breaker(self, model: str, settings: BreakerSettings | None) -> Breaker:
        """Return the breaker for a model."""
        settings = settings or DEFAULT_BREAKER
        breaker = self.breakers.get(model)
        if breaker is None:
            breaker = self.breakers[model] = Breaker(settings)
        elif breaker.settings is not settings:
            breaker.adopt(settings)
        return breaker

    def at_limit(self, limit: int) -> bool:
        """Say whether it has as many requests as it may have, over all processes."""
        return (self.in_flight if self._shared is None else self._shared.total) >= limit

    def begin(self) -> None:
        """A request is on its way to it."""
        self.in_flight += 1
        if self._shared is not None:
            self._shared.set(self.in_flight)

    def end(self) -> None:
        """A request to it is over."""
        self.in_flight -= 1
        if self._shared is not None:
            self._shared.set(self.in_flight)

    def share(self, cell: SharedCount | None) -> None:
        """Count where the gateway's other processes see it."""
        self._shared = cell
        if cell is not None:
            cell.set(self.in_flight)


Share = Callable[[str], SharedCount | None]


class HealthBook:
    """The health of every endpoint that was ever asked or probed, by key.

    ``share`` gives the place of an endpoint's count in shared memory, where there are several processes.
    """

    def __init__(self, share: Share | None = None) -> None:
        self.by_key: dict[str, EndpointHealth] = {}
        self._share = share

    def of(self, endpoint: EndpointConfig) -> EndpointHealth:
        """Return an endpoint's health."""
        health = self.by_key.get(endpoint.key)
        return self._begin(endpoint.key) if health is None else health

    def forget_all_but(self, keys: Container[str]) -> None:
        """Drop endpoints that are gone, once nothing is under way to them."""
        for key, health in list(self.by_key.items()):
            if key not in keys and not health.in_flight:
                del self.by_key[key]

    def _begin(self, key: str) -> EndpointHealth:
        health = self.by_key[key] = EndpointHealth(key)
        if self._share is not None:
            health.share(self._share(key))
        return health


_REFUSED_KEY = frozenset({401, 403})
_SUCCESSES = frozenset({OutcomeStatus.OK, OutcomeStatus.CONTENT_FILTERED, OutcomeStatus.CALLER_ERROR})
_FAILURES = frozenset(
    {
        OutcomeStatus.PROVIDER_ERROR,
        OutcomeStatus.TIMEOUT,
        OutcomeStatus.CONNECTION_FAILED,
        OutcomeStatus.STREAM_BROKEN,
    }
)


def result_of(status: OutcomeStatus, http_status: int) -> Result:
    """Return what an attempt says about its endpoint's health."""
    if status in _SUCCESSES:
        return Result.SUCCESS
    if status in _FAILURES or http_status in _REFUSED_KEY:
        return Result.FAILURE
    # 404 may be the caller's doing, 429 is a healthy endpoint that is busy, and some callers just leave.
    return Result.NEUTRAL


class LiveAttempt:
    """One attempt at an endpoint, from its selection to its end: exactly one of ``end`` and ``release``."""

    __slots__ = ("_breaker", "_health", "_permit", "endpoint", "secret", "started")

    def __init__(
        self,
        endpoint: EndpointConfig,
        secret: str | None,
        health: EndpointHealth,
        breaker: Breaker,
        permit: Permit,
        now: float,
    ) -> None:
        self.endpoint = endpoint
        self.secret = secret
        self.started = now
        self._health = health
        self._breaker = breaker
        self._permit = permit
        health.begin()

    def answering(self, now: float) -> None:
        """A stream has begun."""
        self._permit = self._breaker.answering(self._permit, now)

    def so_far(self, status: OutcomeStatus, http_status: int, now: float) -> Attempt:
        """Return it as an outcome tells it, were it over now."""
        return Attempt(self.endpoint.key, status, http_status, int((now - self.started) * 1e6))

    def end(
        self, status: OutcomeStatus, http_status: int, now: float, retry_after_seconds: float = 0.0
    ) -> Attempt:
        """It is over: the endpoint has room again, and its breaker knows how it went."""
        self._health.end()
        self._breaker.settle(self._permit, result_of(status, http_status), now)
        if retry_after_seconds:
            self._breaker.stay_away(retry_after_seconds, now)
        return self.so_far(status, http_status, now)

    def release(self, now: float) -> None:
        """It is given up before the endpoint was asked."""
        self._health.end()
        self._breaker.settle(self._permit, Result.NEUTRAL, now)
