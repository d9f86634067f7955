"""What callers get to see of an experiment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel

from services.api.etags import Resource
from services.api.views import AllocationView, FreezeView
from services.domain.allocation import Allocation
from services.domain.assignment import BASIS_POINTS
from services.domain.decision import Decision
from services.domain.experiment import Conclusion, Experiment, ExperimentKind, ExperimentStatus, Stage
from services.domain.restraint import Freeze
from services.storage.audit import Noted


class WaitingFor(BaseModel):
    """What an experiment is waiting for: a sentence, and the same as data.

    ``rule`` is the policy's rule that holds, or the state that keeps it from being evaluated.
    """

    sentence: str
    rule: str
    have: float | None = None
    need: float | None = None
    verdicts: list[dict[str, Any]] = []
    evaluation: dict[str, Any] | None = None
    evaluated_at: datetime | None = None


class VariantShare(BaseModel):
    """A variant in its role in an experiment; ``share`` is of the route's units, at the moment."""

    key: str
    role: Literal["control", "treatment"]
    share: float


class ExperimentView(Resource):
    """An experiment: its definition and where it stands.

    ``treatment`` and ``treatment_share`` are for experiments with one treatment; ``variants`` has them all.
    ``approved``: a person agreed to what comes next. ``freezes``: why nothing but a rollback happens by
    itself.
    """

    volatile: ClassVar[frozenset[str]] = frozenset({"waiting_for", "allocation", "freezes"})

    key: str
    experiment_id: UUID
    route: str
    kind: ExperimentKind
    status: ExperimentStatus
    conclusion: Conclusion | None
    control: str
    treatment: str | None
    treatment_share: float | None
    variants: list[VariantShare]
    promoted: str | None
    phase: int
    stage: Stage
    approved: bool
    definition: dict[str, Any]
    allocation: AllocationView
    waiting_for: WaitingFor | None
    concluded_because: str | None
    freezes: list[FreezeView]
    created_at: datetime
    started_at: datetime | None
    step_started_at: datetime | None
    stopped_at: datetime | None

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        allocation: Allocation,
        waiting_for: WaitingFor | None,
        concluded_by: Decision | Noted | None,
        freezes: Iterable[Freeze],
    ) -> ExperimentView:
        """Return what callers see of an experiment; ``allocation`` is its route's."""
        promoted = None
        if experiment.conclusion == "promoted":
            named = concluded_by.variant_key if isinstance(concluded_by, Decision) else None
            promoted = named or experiment.treatments[0]
        shares = _shares(experiment, allocation, promoted)
        control, *treatments = (
            VariantShare(key=key, role="treatment" if i else "control", share=share)
            for i, (key, share) in enumerate(zip(experiment.variant_keys, shares, strict=True))
        )
        only = treatments[0] if len(treatments) == 1 else None
        standing = asdict(experiment)
        return cls(
            **{name: standing[name] for name in _STANDING},
            route=experiment.route_key,
            treatment=None if only is None else only.key,
            treatment_share=None if only is None else only.share,
            variants=[control, *treatments],
            promoted=promoted,
            definition=msgspec.to_builtins(experiment.definition),
            allocation=AllocationView.of(allocation),
            waiting_for=waiting_for,
            concluded_because=_because(concluded_by),
            approved=experiment.approved_version == allocation.version,
            freezes=[FreezeView.of(freeze) for freeze in freezes],
        )


_STANDING = ExperimentView.model_fields.keys() & Experiment.__dataclass_fields__.keys() - {"definition"}


def _because(concluded_by: Decision | Noted | None) -> str | None:
    if concluded_by is None:
        return None
    did = "decided" if isinstance(concluded_by, Decision) else "stopped"
    return f"{concluded_by.reason} ({did} by {concluded_by.actor})"


def _shares(experiment: Experiment, allocation: Allocation, promoted: str | None) -> list[float]:
    """Return the share of the route's units that each variant has through the experiment."""
    test = allocation.test
    if test is not None and test.experiment_id == experiment.experiment_id:
        taking_part = test.traffic_bp / BASIS_POINTS
        return [taking_part * weight / BASIS_POINTS for weight in test.weights_bp]
    if allocation.experiment_id == experiment.experiment_id:
        return [allocation.weights_bp[key] / BASIS_POINTS for key in experiment.variant_keys]
    return [float(key == promoted) for key in experiment.variant_keys]
