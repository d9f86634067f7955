"""The configuration as requests read it: dictionaries of prepared things."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.domain.assignment import Salted, split_salt
from services.domain.configuration import (
    Config,
    CredentialConfig,
    EndpointConfig,
    InstallationConfig,
    LeaseConfig,
    RouteConfig,
    TeamConfig,
    VariantConfig,
    config_key,
    is_lease,
)
from services.gateway.ab_test import prepare
from services.gateway.choices import Choices
from services.gateway.leases import Leased
from services.gateway.limiting.plans import Plan, has_limits, plan_of, scope_of
from services.gateway.overrides import Overrides
from services.gateway.shadow_copies import ServedShadow


class ServedRoute(Leased):
    """A route with what every request would otherwise compute again. The lease is its canary's."""

    __slots__ = (
        "choices",
        "config",
        "holds_blind",
        "key",
        "overrides",
        "shadow",
        "share_bp",
        "split",
        "test",
        "unit_fallback",
    )

    def __init__(self, config: RouteConfig) -> None:
        config, self.overrides = _interned(config)
        canary = config.experiment
        super().__init__(canary)
        self.config = config
        self.key = config.key
        self.unit_fallback = config.unit_fallback
        self.share_bp = 0 if canary is None else canary.treatment_share_bp
        self.holds_blind = canary is not None and canary.on_blind == "hold"
        self.split = Salted("" if canary is None else split_salt(canary.salt))
        self.test = prepare(config.test, config.key)
        self.choices = Choices(config, self.test, self.overrides)
        self.shadow = None if config.shadow is None else ServedShadow(config.shadow)


def _interned(config: RouteConfig) -> tuple[RouteConfig, dict[str, Overrides]]:
    """Return the same with what routes have in common as one object each, and what its variants change.

    As one object they stay in the processor's cache, however many routes there are, and dictionaries find
    names without comparing text.
    """
    canary, intern = config.experiment, sys.intern
    variants, overrides = {}, {}
    for name, variant in config.variants.items():
        key = intern(name)
        variants[key], overrides[key] = _shared(_encode(variant))
    if canary is not None:
        canary = replace(canary, control=intern(canary.control), treatment=intern(canary.treatment))
    return replace(config, stable=intern(config.stable), variants=variants, experiment=canary), overrides


@lru_cache(maxsize=4096)
def _shared(encoded: bytes) -> tuple[VariantConfig, Overrides]:
    """Return a variant, the same one for all routes that serve it, and what it changes."""
    variant, intern = _decode(encoded), sys.intern
    endpoint_keys = tuple(map(intern, variant.endpoint_keys))
    variant = replace(variant, key=intern(variant.key), endpoint_keys=endpoint_keys)
    return variant, Overrides(variant)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(VariantConfig).decode


class ConfigView:
    """The newest state of everything, by name."""

    def __init__(self, states: Iterable[Config] = ()) -> None:
        self.states: dict[str, Config] = {}
        self.routes: dict[str, ServedRoute] = {}
        self.endpoints: dict[str, EndpointConfig] = {}
        self.credentials: dict[str, CredentialConfig] = {}
        self.teams: dict[str, TeamConfig] = {}
        self.measured_at: dict[UUID, float] = {}
        self.installation: InstallationConfig | None = None
        self.limited = False
        """Whether anything has limits."""
        self.lasting: set[int] = set()
        """The numbers of keys, teams and routes that have, or had, limits."""
        self._limited: set[str] = set()
        self._plans: dict[tuple[str, str], Plan | None] = {}
        for state in states:
            self.put(state)

    def put(self, state: Config) -> None:
        """Take a state, unless a newer one of the same name is here."""
        key = config_key(state)
        held = self.states.get(key)
        if held is not None and held.version > state.version:
            return
        self.states[key] = state
        self._note_limits(key, limited=has_limits(state))
        if isinstance(state, (CredentialConfig, TeamConfig, RouteConfig)):
            scope = scope_of(state)
            if scope is not None:
                self.lasting.add(scope.number)
        match state:
            case RouteConfig():
                self.routes[state.key] = ServedRoute(state)
            case EndpointConfig():
                self.endpoints[sys.intern(state.key)] = state
            case CredentialConfig():
                self.credentials[state.key_hash] = state
            case TeamConfig():
                self.teams[state.key] = state
            case LeaseConfig():
                self.measured_at[state.experiment_id] = state.measured_at
            case InstallationConfig():
                self.installation = state

    def plan(self, credential: CredentialConfig, route: RouteConfig) -> Plan | None:
        """Return the limits that a key's requests to a route fall under, if there are any."""
        names = credential.key_hash, route.key
        try:
            return self._plans[names]
        except KeyError:
            plan = self._plans[names] = plan_of(credential, route, self.teams, self.endpoints)
            return plan

    def _note_limits(self, key: str, *, limited: bool) -> None:
        if is_lease(key):
            return
        self._plans.clear()
        if limited:
            self._limited.add(key)
        else:
            self._limited.discard(key)
        self.limited = bool(self._limited)

    def forget(self, key: str) -> None:
        """Drop what a record's key names."""
        self._note_limits(key, limited=False)
        match self.states.pop(key, None):
            case RouteConfig(key=name):
                del self.routes[name]
            case EndpointConfig(key=name):
                del self.endpoints[name]
            case CredentialConfig(key_hash=name):
                del self.credentials[name]
            case TeamConfig(key=name):
                del self.teams[name]
            case LeaseConfig(experiment_id=experiment_id):
                del self.measured_at[experiment_id]
            case InstallationConfig():
                self.installation = None
            case None:
                pass
