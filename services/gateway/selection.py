"""Which endpoint of a variant is asked next: limit, then select, then breaker.

Out of those that are known, not drained, healthy by their probe and below their limit, the lowest priority
number wins; inside that tier weights decide, or the lesser load of two that are drawn. Whom the breaker does
not let through is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from random import Random

from services.domain.configuration import EndpointConfig, VariantConfig
from services.domain.errors import ConcurrencyLimited, NoHealthyEndpoints, Unserveable
from services.gateway.health import EndpointHealth, HealthBook, LiveAttempt
from services.gateway.secret_references import SecretResolver

LIMIT_RETRY_SECONDS = 1

Member = tuple[EndpointConfig, EndpointHealth]


class Selection:
    """Picks endpoints; ``random`` decides inside a tier."""

    def __init__(self, secrets: SecretResolver, book: HealthBook, random: Random) -> None:
        self._secrets = secrets
        self._book = book
        self._random = random

    def pick(
        self,
        variant: VariantConfig,
        endpoints: Mapping[str, EndpointConfig],
        model: str,
        tried: Collection[str],
        now: float,
    ) -> LiveAttempt | None:
        """Return a call to one more endpoint, or None where nobody is left.

        ``model`` is what an endpoint is asked for where neither it nor the variant names one.
        """
        while tier := self._tier(variant, endpoints, tried):
            endpoint, health = tier[0] if len(tier) == 1 else self._choose(tier, variant)
            call = self._admit(endpoint, health, endpoint.model or variant.model or model, now)
            if call is not None:
                return call
            tried = [*tried, endpoint.key]
        return None

    def failing_commands(self) -> dict[str, str]:
        """Return what is wrong with each command that should print a secret and does not."""
        return self._secrets.commands.problems()

    def missing_secrets(self, endpoints: Mapping[str, EndpointConfig]) -> list[str]:
        """Return the endpoints whose secret cannot be found here."""
        return sorted(key for key, endpoint in endpoints.items() if not self._has_secret(endpoint))

    def shortage(
        self, variant: VariantConfig, endpoints: Mapping[str, EndpointConfig], model: str, now: float
    ) -> Unserveable:
        """Return why nobody can be asked."""
        reasons, waits, limited = [], [], False
        for key in variant.endpoint_keys:
            endpoint = endpoints.get(key)
            asked_for = model if endpoint is None else endpoint.model or variant.model or model
            reason, wait = self._hindrance(endpoint, asked_for, now)
            limited = limited or reason == AT_LIMIT
            reasons.append(f"{key} {reason}")
            waits += [wait] if wait else []
        told = "; ".join(reasons) or "it names none"
        if limited:
            return ConcurrencyLimited(
                f"variant {variant.key!r} has no endpoint with room for another request ({told}); "
                "try again shortly, or raise max_concurrency",
                retry_after_seconds=LIMIT_RETRY_SECONDS,
            )
        return NoHealthyEndpoints(
            f"variant {variant.key!r} has no endpoint that can be asked ({told}); "
            "GET /endpoints of the gateway shows each",
            retry_after_seconds=max(1, ceil(min(waits))) if waits else None,
        )

    def _tier(
        self, variant: VariantConfig, endpoints: Mapping[str, EndpointConfig], tried: Collection[str]
    ) -> list[Member]:
        """Return those that can be asked and have the lowest priority number of all that can."""
        tier: list[Member] = []
        priority = 0
        for key in variant.endpoint_keys:
            endpoint = endpoints.get(key)
            if endpoint is None or key in tried or (tier and endpoint.priority > priority):
                continue
            health = self._book.of(endpoint)
            if not _able(endpoint, health):
                continue
            if endpoint.priority != priority:
                tier, priority = [], endpoint.priority
            tier.append((endpoint, health))
        return tier

    def _choose(self, tier: list[Member], variant: VariantConfig) -> Member:
        return self._less_loaded(tier) if variant.selection == "least_loaded" else self._by_weight(tier)

    def _by_weight(self, tier: list[Member]) -> Member:
        place = self._random.random() * sum([endpoint.weight for endpoint, _ in tier])
        for member in tier:
            place -= member[0].weight
            if place < 0:
                return member
        return tier[-1]

    def _less_loaded(self, tier: list[Member]) -> Member:
        one, other = self._random.sample(tier, 2)
        # The load that each would have with one more request, for its weight.
        load_of_one = (one[1].in_flight + 1) * other[0].weight
        load_of_other = (other[1].in_flight + 1) * one[0].weight
        return one if load_of_one <= load_of_other else other

    def _admit(
        self, endpoint: EndpointConfig, health: EndpointHealth, model: str, now: float
    ) -> LiveAttempt | None:
        secret = None
        if endpoint.secret is not None:
            secret = self._secrets.resolve(endpoint.secret)
            if secret is None:
                return None
        breaker = health.breaker(model, endpoint.breaker)
        permit = breaker.admit(now)
        return None if permit is None else LiveAttempt(endpoint, secret, health, breaker, permit, now)

    def _has_secret(self, endpoint: EndpointConfig) -> bool:
        return endpoint.secret is None or self._secrets.resolve(endpoint.secret) is not None

    def _hindrance(self, endpoint: EndpointConfig | None, model: str, now: float) -> tuple[str, float]:
        """Return what keeps an endpoint from being asked, and for how long if that is known."""
        if endpoint is None:
            return "is unknown here", 0.0
        health = self._book.of(endpoint)
        wait = health.breaker(model, endpoint.breaker).wait_seconds(now)
        cases = (
            (endpoint.drained or endpoint.weight <= 0, "is drained", 0.0),
            (not self._has_secret(endpoint), "has no secret here", 0.0),
            (health.probe is not None and not health.probe.healthy, "fails its probe", 0.0),
            (wait > 0, f"is left alone for {wait:.1f} s more after failing", wait),
            (
                endpoint.max_concurrency is not None and health.at_limit(endpoint.max_concurrency),
                AT_LIMIT,
                0.0,
            ),
        )
        return next(((reason, seconds) for hinders, reason, seconds in cases if hinders), _TRIED)


def _able(endpoint: EndpointConfig, health: EndpointHealth) -> bool:
    if endpoint.drained or endpoint.weight <= 0:
        return False
    if endpoint.probe is not None and health.probe is not None and not health.probe.healthy:
        return False
    return endpoint.max_concurrency is None or not health.at_limit(endpoint.max_concurrency)


AT_LIMIT = "has all the requests it may have"
_TRIED = ("is being tried with few requests after failing", 1.0)
