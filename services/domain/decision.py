"""Decisions: what was decided about an experiment, on which evidence, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from services.domain.allocation import Change
from services.domain.events import DecisionAction, DecisionEvent

DecisionState = Literal["recorded", "applied", "dropped"]

POLICY = "policy"
"""Who makes the decisions that no person makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision. A person's is of the same kind as the policy's, with that person as the ``actor``.

    ``evidence`` is for readers; ``inputs`` with ``method`` is what the decision can be recomputed from.
    """

    decision_id: UUID
    experiment_id: UUID
    phase: int
    action: DecisionAction
    rule: str
    reason: str
    actor: str
    allocation_version: int
    decided_at: datetime
    next_step: int | None = None
    next_share_bp: int | None = None
    variant_key: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    method: str = ""
    state: DecisionState = "recorded"
    state_reason: str | None = None
    applied_version: int | None = None
    applied_at: datetime | None = None

    @property
    def change(self) -> Change:
        """What the decision asks of the route's allocation."""
        return Change(
            action=self.action,
            experiment_id=self.experiment_id,
            based_on_version=self.allocation_version,
            next_share_bp=self.next_share_bp,
            next_step=self.next_step,
            variant_key=self.variant_key,
        )

    @property
    def event(self) -> DecisionEvent:
        """The decision as it is published."""
        return DecisionEvent(
            decision_id=self.decision_id,
            experiment_id=self.experiment_id,
            phase=self.phase,
            action=self.action,
            reason=self.reason,
            actor=self.actor,
            allocation_version=self.allocation_version,
            decided_at_us=int(self.decided_at.timestamp() * 1_000_000),
            evidence=self.evidence,
            variant_key=self.variant_key,
        )
