"""The events that travel through Kafka, as versioned values.

Outcomes are many, so they travel as MessagePack arrays, whose field order is the schema: add fields at the
end with a default, never reorder or remove. Everything else is JSON by field name.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal
from uuid import UUID

import msgspec

from services.domain.status import OutcomeStatus

OUTCOME_SCHEMA = 1


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

    ``propensity_bp`` is the probability, in basis points, with which the unit got the variant of ``role``.
    """

    experiment_id: UUID
    phase: int
    role: Role
    propensity_bp: int

    @property
    def treatment_share_bp(self) -> int:
        """The treatment's share in force at the moment of assignment."""
        return self.propensity_bp if self.role is Role.TREATMENT else 10_000 - self.propensity_bp


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What one request did. Times are the gateway's own; the tick comes from the broker."""

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


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be decoded or stored, as received, with the reason."""

    topic: str
    partition: int
    offset: int
    index: int | None
    reason: str
    payload: bytes
