"""How endpoints are in the eyes of shadows: what production knows, read only, and what shadows learn.

A shadow's failures are its own. They open breakers that only shadows look at, and its requests are counted
apart, so that nothing a shadow does takes an endpoint, or room at one, from the variants that serve. The
other way round everything is looked at: an endpoint that production's breaker or probe leaves out is not
asked by shadows either, and where an endpoint has a limit, shadows get what production leaves of it.
"""

from __future__ import annotations

from services.domain.configuration import BreakerSettings, EndpointConfig
from services.gateway.breaker import Breaker, BreakerState, Permit
from services.gateway.health import DEFAULT_BREAKER, EndpointHealth, HealthBook


class ShadowBreaker(Breaker):
    """A breaker of shadows, which lets nobody pass unless production's is closed."""

    __slots__ = ("_production",)

    def __init__(self, settings: BreakerSettings, production: EndpointHealth, model: str) -> None:
        super().__init__(settings)
        self._production = production, model

    def admit(self, now: float) -> Permit | None:
        """Let a request pass, or not."""
        health, model = self._production
        breaker = health.breakers.get(model)
        if breaker is not None and breaker.state(now) is not BreakerState.CLOSED:
            # Half-open, too: the few trials are for requests that somebody waits for.
            return None
        return super().admit(now)


class ShadowHealth(EndpointHealth):
    """One endpoint. ``production`` is what the requests of callers see of it."""

    __slots__ = ("production",)

    def __init__(self, production: EndpointHealth) -> None:
        super().__init__(production.key)
        self.production = production

    def breaker(self, model: str, settings: BreakerSettings | None) -> Breaker:
        """Return the breaker of shadows for a model."""
        if model not in self.breakers:
            self.breakers[model] = ShadowBreaker(settings or DEFAULT_BREAKER, self.production, model)
        return super().breaker(model, settings)

    def at_limit(self, limit: int) -> bool:
        """Say whether production leaves no room for one more."""
        return self.production.at_limit(limit - self.in_flight)


class ShadowBook(HealthBook):
    """The health of every endpoint that a shadow asked."""

    def __init__(self, production: HealthBook) -> None:
        super().__init__()
        self._production = production

    def of(self, endpoint: EndpointConfig) -> EndpointHealth:
        """Return an endpoint's health, with the probe that production knows."""
        production = self._production.of(endpoint)
        held = self.by_key.get(endpoint.key)
        if not isinstance(held, ShadowHealth) or held.production is not production:
            held = self.by_key[endpoint.key] = ShadowHealth(production)
        held.probe = production.probe
        return held
