"""Whose limits a request falls under: prepared once for each key and route."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal, TypeGuard

from services.domain.configuration import CredentialConfig, EndpointConfig, RouteConfig, TeamConfig
from services.domain.limits import Limits

ScopeKind = Literal["key", "team", "route", "unit"]
CAPS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""What a cap on an answer's tokens is called on the surfaces."""


class Scope:
    """Somebody who has limits. None is no limit; money is in billionths of a dollar.

    For units, ``number`` is combined with the unit's hash.
    """

    __slots__ = (
        "concurrency",
        "counts_day",
        "counts_tokens",
        "day_nanos",
        "day_tokens",
        "kind",
        "name",
        "number",
        "requests",
        "tokens",
    )

    def __init__(self, kind: ScopeKind, name: str, limits: Limits) -> None:
        self.kind: ScopeKind = kind
        self.name = name
        self.number = int.from_bytes(blake2b(f"{kind}/{name}".encode(), digest_size=8).digest())
        self.requests = limits.requests_per_minute
        self.tokens = limits.tokens_per_minute
        self.concurrency = limits.concurrency
        self.day_tokens = limits.tokens_per_day
        dollars = limits.dollars_per_day
        self.day_nanos = None if dollars is None else round(dollars * 1e9)
        self.counts_tokens = self.tokens is not None
        self.counts_day = self.day_tokens is not None or self.day_nanos is not None


class Plan:
    """The limits of one key on one route.

    ``caps`` are those that the route's variants set (None: the caller's holds), ``prices`` those of its
    dearest endpoint: what a request may cost does not depend on the variant that it will get, for then a
    dearer variant would see fewer of the requests, and the experiment would compare different callers.
    """

    __slots__ = ("asks_for_cap", "cap", "counts_tokens", "prices", "scopes", "shows", "unit", "with_unit")

    def __init__(
        self,
        scopes: tuple[Scope, ...],
        unit: Scope | None,
        caps: tuple[int | None, ...],
        prices: tuple[int, int],
    ) -> None:
        self.scopes = scopes
        self.unit = unit
        self.cap = max((cap for cap in caps if cap is not None), default=0)
        """The largest that a variant sets."""
        self.asks_for_cap = None in caps
        """Whether there is a variant that sets none."""
        self.prices = prices
        """In and out, in billionths of a dollar for a million tokens."""
        self.with_unit = everybody = scopes if unit is None else (*scopes, unit)
        self.counts_tokens = any(one.counts_tokens or one.counts_day for one in everybody)
        self.shows = any(one.requests is not None or one.tokens is not None for one in everybody)
        """Whether answers tell what remains."""


def plan_of(
    credential: CredentialConfig,
    route: RouteConfig,
    teams: Mapping[str, TeamConfig],
    endpoints: Mapping[str, EndpointConfig],
) -> Plan | None:
    """Return the limits of a key on a route; None where there are none."""
    team = None if credential.team is None else teams.get(credential.team)
    scopes = [scope for one in (credential, team, route) if (scope := scope_of(one)) is not None]
    unit = Scope("unit", route.key, route.unit_limits) if _bind(route.unit_limits) else None
    if not scopes and unit is None:
        return None
    caps = tuple({_cap(variant.parameters) for variant in route.variants.values()})
    return Plan(tuple(scopes), unit, caps, _dearest(route, endpoints))


def scope_of(state: CredentialConfig | TeamConfig | RouteConfig | None) -> Scope | None:
    """Return the scope of a key, a team or a route itself; None where it has no limits."""
    if state is None or not _bind(state.limits):
        return None
    match state:
        case CredentialConfig():
            return Scope("key", state.key_id, state.limits)
        case TeamConfig():
            return Scope("team", state.key, state.limits)
        case RouteConfig():
            return Scope("route", state.key, state.limits)


def has_limits(state: object) -> bool:
    """Say whether a published state limits anything."""
    return _bind(getattr(state, "limits", None)) or _bind(getattr(state, "unit_limits", None))


def _bind(limits: Limits | None) -> TypeGuard[Limits]:
    return limits is not None and limits != NO_LIMITS


NO_LIMITS = Limits()


def _cap(parameters: Mapping[str, Any]) -> int | None:
    caps = [parameters[name] for name in CAPS if isinstance(parameters.get(name), int)]
    return max(caps, default=None)


def _dearest(route: RouteConfig, endpoints: Mapping[str, EndpointConfig]) -> tuple[int, int]:
    keys = {key for variant in route.variants.values() for key in variant.endpoint_keys}
    prices = [found.prices for key in keys if (found := endpoints.get(key)) is not None and found.prices]
    dearest_in = max((one.input_per_million for one in prices), default=0.0)
    dearest_out = max((one.output_per_million for one in prices), default=0.0)
    return round(dearest_in * 1e9), round(dearest_out * 1e9)
