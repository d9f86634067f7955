"""What gateways run on: the full state of each thing, as published on ``config.v1``.

A record's key is ``kind/name``; its value is the whole state with a version. A reader keeps the highest
version of each key. A version is (database timeline, counter): after a Postgres failover that lost commits,
the republished state has a higher timeline and wins. Secrets are never here, only references to them.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec

from services.domain.limits import Limits

EndpointKind = Literal["openai", "azure_openai"]
EndpointAuth = Literal["default", "api_key", "bearer"]
"""How a secret is sent: as the header ``api-key``, as a bearer token, or as the kind does by default."""
UnitFallback = Literal["request", "reject"]
OnBlind = Literal["control", "hold"]
SelectionRule = Literal["weighted", "least_loaded"]

ConfigVersion = tuple[int, int]
"""(database timeline, counter)."""


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """What every published state has."""

    version: ConfigVersion


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When an endpoint is left alone for a while, and how it comes back (docs/reliability.md).

    The defaults are meant for endpoints that are down. A variant that fails in a third of its requests is
    for its experiment to judge, on evidence that a breaker would spoil.
    """

    window_seconds: float = 10.0
    minimum_requests: int = 50
    error_ratio: float = 0.6
    """Opens when at least ``minimum_requests`` ended in the window and this fraction of them failed."""
    consecutive_failures: int = 10
    """Opens after so many in a row, whatever the window holds."""
    open_seconds: float = 1.0
    """The first time; doubled each time that it opens again soon."""
    longest_open_seconds: float = 60.0
    """Also bounds what a provider may ask for with ``Retry-After``."""
    trial_requests: int = 3
    """Half-open: how many requests may be under way at a time."""
    successes_to_close: int = 2


class ProbeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A GET that each gateway asks of an endpoint; ``path`` is appended to its base URL."""

    path: str
    interval_seconds: float = 10.0
    timeout_seconds: float = 2.0
    expect_status: int = 200


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an endpoint's tokens cost, in dollars per million.

    ``cached_input_per_million`` is for the part of the prompt that the provider had in its cache; None: as
    the rest of it.
    """

    input_per_million: float
    output_per_million: float
    cached_input_per_million: float | None = None


class EndpointConfig(_State, frozen=True, kw_only=True, tag="endpoint"):
    """One provider deployment. ``model`` overrides the variant's; priority 0 is asked first."""

    key: str
    endpoint_kind: EndpointKind
    base_url: str
    secret: str | None = None
    auth: EndpointAuth = "default"
    api_version: str | None = None
    model: str | None = None
    priority: int = 0
    weight: int = 1
    connect_timeout_seconds: float = 5.0
    first_byte_timeout_seconds: float = 60.0
    total_timeout_seconds: float = 600.0
    stream_usage: bool = True
    """Ask streams for their usage, where the caller did not; not every provider knows the option."""
    drained: bool = False
    """Taken out by hand: gets no new requests."""
    max_concurrency: int | None = None
    """The most requests under way at a time, for each gateway."""
    breaker: BreakerSettings | None = None
    """None: the defaults of the release that runs."""
    probe: ProbeSettings | None = None
    prices: Prices | None = None

    @property
    def name(self) -> str:
        """The part of the record's key after the kind."""
        return self.key


class VariantConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration to serve, as part of a route."""

    key: str
    endpoint_keys: tuple[str, ...]
    model: str | None = None
    system_prompt: str | None = None
    parameters: dict[str, Any] = {}
    selection: SelectionRule = "weighted"
    """How one of several endpoints with the same priority is chosen."""


class ExperimentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A running experiment as a gateway needs it. ``treatment_share_bp`` 0 means nobody is assigned."""

    experiment_id: UUID
    key: str
    phase: int
    salt: str
    control: str
    treatment: str
    treatment_share_bp: int
    on_blind: OnBlind = "control"
    lease_limit_seconds: float = 60.0


class SegmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An attribute that results are also shown by: the value of a request header, or the model served."""

    attribute: str
    header: str | None = None
    """None: the attribute is the name of the model that the endpoint was asked for."""


class TestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A running A/B test as a gateway needs it. ``variants[0]`` is the control; weights sum to 10,000.

    A unit takes part where its place on the inclusion salt's scale is below ``traffic_bp``; inside, the
    variants own cumulative ranges of the split salt's scale, in order.
    """

    __test__ = False
    experiment_id: UUID
    key: str
    phase: int
    salt: str
    traffic_bp: int
    variants: tuple[str, ...]
    weights_bp: tuple[int, ...]
    segments: tuple[SegmentConfig, ...] = ()
    covariate_header: str | None = None
    on_blind: OnBlind = "control"
    lease_limit_seconds: float = 60.0


class ShadowConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A running shadow as a gateway needs it. Bounds are for each gateway.

    A request is mirrored where the place of its id on the shadow salt's scale is below ``sample_bp``, and
    never after ``ends_at``, in seconds since the epoch.
    """

    experiment_id: UUID
    key: str
    phase: int
    salt: str
    variant: str
    sample_bp: int
    max_concurrency: int
    queue_limit: int
    timeout_seconds: float
    ends_at: float
    cost_limit_per_hour_nanos: int | None = None
    keep_text: bool = False
    text_days: int = 7
    ignore_paths: tuple[str, ...] = ()


class RouteConfig(_State, frozen=True, kw_only=True, tag="route"):
    """A route: the name clients put in ``model``, its variants, and the current allocation."""

    key: str
    stable: str
    variants: dict[str, VariantConfig]
    allocation_version: int
    unit_fallback: UnitFallback = "request"
    experiment: ExperimentConfig | None = None
    test: TestConfig | None = None
    shadow: ShadowConfig | None = None
    limits: Limits | None = None
    """Of all its requests together."""
    unit_limits: Limits | None = None
    """Of each unit's requests."""
    record_content: bool = False
    """Prompts and answers may be kept: in traces, and by shadows whose experiments say so."""

    @property
    def name(self) -> str:
        """The part of the record's key after the kind."""
        return self.key


FORCE_VARIANT = "force_variant"
"""The scope of keys that may name the variant that serves them."""
Scope = Literal["force_variant"]


class CredentialConfig(_State, frozen=True, kw_only=True, tag="credential"):
    """A client's key, as the hex SHA-256 of it. ``routes`` None allows every route.

    ``scopes`` is what the key may do beyond asking; a gateway passes over those it does not know.
    ``expires_at`` is in seconds since the epoch. Only keys of the role ``client`` are published.
    """

    key_hash: str
    key_id: str
    label: str
    routes: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = ()
    revoked: bool = False
    team: str | None = None
    expires_at: float | None = None
    limits: Limits | None = None

    @property
    def name(self) -> str:
        """The part of the record's key after the kind."""
        return self.key_hash


class TeamConfig(_State, frozen=True, kw_only=True, tag="team"):
    """A team: whose keys share ``limits``."""

    key: str
    limits: Limits | None = None

    @property
    def name(self) -> str:
        """The part of the record's key after the kind."""
        return self.key


class LeaseConfig(_State, frozen=True, kw_only=True, tag="lease"):
    """The evidence lease of an experiment: its outcomes are counted and evaluated up to ``measured_at``.

    ``measured_at`` is in seconds since the epoch. Its version is (0, milliseconds of ``measured_at``).
    """

    experiment_id: UUID
    measured_at: float

    @property
    def name(self) -> str:
        """The part of the record's key after the kind."""
        return str(self.experiment_id)


class InstallationConfig(_State, frozen=True, kw_only=True, tag="installation"):
    """What was fixed when the installation was created."""

    installation_id: UUID
    outcome_partitions: int

    @property
    def name(self) -> str:
        """The part of the record's key after the kind."""
        return "installation"


Config = EndpointConfig | RouteConfig | CredentialConfig | TeamConfig | LeaseConfig | InstallationConfig


def config_key(state: Config) -> str:
    """Return the record key of a state: ``kind/name``."""
    return f"{state.__struct_config__.tag}/{state.name}"


def is_lease(key: str) -> bool:
    """Say whether a record's key is a lease's: what is renewed all the time, and changes nothing else."""
    return key.startswith(_LEASE)


_LEASE = f"{LeaseConfig.__struct_config__.tag}/"
