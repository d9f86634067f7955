"""The events that travel through Kafka, as versioned values.

Outcomes are many, so they travel as MessagePack arrays, whose field order is the schema: add fields at the
end with a default, never reorder or remove. Everything else is JSON by field name.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from services.domain.status import OutcomeStatus

OUTCOME_SCHEMA = 1
FEEDBACK_SCHEMA = 2
"""Batches of both kinds travel on ``outcomes.v1``; their first element tells them apart."""
COMPARISON_SCHEMA = 1

LARGEST_AMOUNT = 1 << 48
"""Of what is summed of a request, where it is counted.

A sum of 64 bits takes 2¹⁵ of the largest, which nobody reaches: the gateway measures latency itself, and 2¹⁵
times nine years (2⁴⁸ µs) do not pass; 2⁶³ billionths of a dollar are nine thousand million dollars; tokens
have a limit of their own.
"""
LARGEST_TOKENS = 100_000_000
"""Of one request and kind, whatever a provider says.

A sum of 64 bits takes 46 thousand million times the largest of both kinds, and 4.6 million times what they
cost at ten dollars a million tokens.
"""


class Role(IntEnum):
    """The role of a variant inside an experiment."""

    CONTROL = 0
    TREATMENT = 1

    @property
    def label(self) -> str:
        """The role as tables and messages spell it."""
        return self.name.lower()


class UnitSource(IntEnum):
    """Where the unit of a request was found."""

    HEADER = 0
    SAFETY_IDENTIFIER = 1
    USER = 2
    REQUEST = 3


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One try at one endpoint. ``http_status`` is 0 where there was no answer."""

    endpoint_key: str
    status: OutcomeStatus
    http_status: int
    duration_us: int


class AssignedTo(msgspec.Struct, frozen=True, array_like=True):
    """The request's place in one experiment, by **assigned** variant, whoever served it in the end.

    ``propensity_bp`` is the probability, in basis points, with which the unit got its variant.
    ``variant_index`` is the variant's place in the experiment's definition, the control's being 0; -1 where
    the role says it all, as in a canary.
    """

    experiment_id: UUID
    phase: int
    role: Role
    propensity_bp: int
    variant_index: int = -1

    @property
    def variant_number(self) -> int:
        """The variant's place in the experiment, whoever wrote the event."""
        return self.role if self.variant_index < 0 else self.variant_index

    @property
    def treatment_share_bp(self) -> int:
        """The treatment's share in force at the moment of assignment."""
        return self.propensity_bp if self.role is Role.TREATMENT else 10_000 - self.propensity_bp


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What one request did. Times are the gateway's own; the tick comes from the broker.

    ``cost_nanos`` is in billionths of a dollar, None where the endpoint has no prices. ``attributes`` holds
    the segments that a running test asks for, ``covariate`` its number known beforehand. ``cached_tokens``
    is the part of the prompt's that the provider had in its cache. ``key_id`` and ``team_key`` say whose
    request it was; no team is ''.
    """

    request_id: str
    route_key: str
    variant_key: str
    unit_hash: int
    unit_source: UnitSource
    status: OutcomeStatus
    http_status: int
    started_at_us: int
    latency_us: int
    first_token_us: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    streamed: bool = False
    assignments: tuple[AssignedTo, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    cost_nanos: int | None = None
    attributes: dict[str, str] = {}
    covariate: float | None = None
    key_id: str = ""
    team_key: str = ""
    cached_tokens: int | None = None


class OutcomeBatch(msgspec.Struct, frozen=True, array_like=True):
    """One record of ``outcomes.v1``.

    Sequence numbers are contiguous per (gateway incarnation, partition): the outcomes have the numbers
    ``first_sequence``, ``first_sequence + 1``, … An empty batch says that every lower number was given out,
    so that what a killed gateway never sent shows as a gap.
    """

    schema: int
    gateway: UUID
    first_sequence: int
    outcomes: list[Outcome]


class Feedback(msgspec.Struct, frozen=True, array_like=True):
    """What somebody said of an answer later: a score, a yes or no, a conversion.

    The unit and its assignments are those of the request it is about, out of the signed token. One
    ``event_id`` counts once in an experiment. A yes or no is 1 or 0, with ``is_boolean``.
    """

    event_id: str
    name: str
    value: float
    is_boolean: bool
    unit_hash: int
    unit_source: UnitSource
    request_id: str
    route_key: str
    received_at_us: int
    assignments: tuple[AssignedTo, ...]
    attributes: dict[str, str] = {}


class FeedbackBatch(msgspec.Struct, frozen=True, array_like=True):
    """One record of ``outcomes.v1`` that holds feedback. A resend is recognised by its event ids."""

    schema: int
    feedback: list[Feedback]


_Amount = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_AMOUNT)]
_Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Moment = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Side(msgspec.Struct, frozen=True, array_like=True):
    """What production, or the shadow, did with a request. Latency is up to the end of the answer."""

    variant_key: str
    status: OutcomeStatus
    http_status: _Amount
    latency_us: _Amount
    first_token_us: _Amount | None = None
    prompt_tokens: _Amount | None = None
    completion_tokens: _Amount | None = None
    cost_nanos: _Amount | None = None


class Likeness(msgspec.Struct, frozen=True, array_like=True):
    """How much alike two answers are, their tool calls included.

    ``normalised`` is after what no reader would call a difference. ``tool_calls`` is None where neither
    answer has any.
    """

    exact: bool
    normalised: bool
    similarity: _Part
    tool_calls: bool | None = None


class Comparison(msgspec.Struct, frozen=True, array_like=True):
    """One mirrored request. ``comparison_id`` is the request's id: a request is mirrored once.

    ``likeness`` is None where one of the two gave no answer. ``texts`` are production's and the shadow's,
    only where the experiment keeps them, for ``text_days``.
    """

    comparison_id: UUID
    experiment_id: UUID
    phase: int
    route_key: str
    unit_hash: Annotated[int, msgspec.Meta(ge=0)]
    occurred_at_us: _Moment
    streamed: bool
    production: Side
    shadow: Side
    likeness: Likeness | None = None
    texts: tuple[str, str] | None = None
    text_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 0


class ShadowCoverage(msgspec.Struct, frozen=True, array_like=True):
    """What became of the requests that one gateway sampled for a shadow, since it started.

    sampled = compared + failed + what was shed, by reason + what is still under way.
    """

    experiment_id: UUID
    phase: int
    sampled: _Amount
    compared: _Amount
    failed: _Amount
    shed: dict[str, _Amount]
    cost_nanos: _Amount
    """What the shadow's answers cost, as far as it is known."""


class ComparisonBatch(msgspec.Struct, frozen=True, array_like=True):
    """One record of ``comparisons.v1``, of one experiment. Repeats change nothing: comparisons have ids, and
    of the coverage of one gateway the highest counts are the newest."""

    schema: int
    gateway: UUID
    comparisons: list[Comparison]
    coverage: list[ShadowCoverage]


class Touched(msgspec.Struct, frozen=True):
    """Outcomes of the experiment have been counted up to the named offset of a partition."""

    experiment_id: UUID
    phase: int
    partition: int
    next_offset: int


DecisionAction = Literal["advance", "promote", "rollback"]


class DecisionEvent(msgspec.Struct, frozen=True):
    """A decision as published: what to do, why, and on which allocation it was based."""

    decision_id: UUID
    experiment_id: UUID
    phase: int
    action: DecisionAction
    reason: str
    actor: str
    allocation_version: int
    decided_at_us: int
    evidence: dict[str, object]
    schema: int = 1
    variant_key: str | None = None
    """The variant that is promoted, where there are several treatments."""


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be decoded or stored, as received, with the reason."""

    topic: str
    partition: int
    offset: int
    index: int | None
    reason: str
    payload: bytes
