"""Recomputing a decision from what is stored with it, and comparing the two to the bit.

Libraries of linear algebra have another way to add for each kind of processor. So on another one than the
worker's, figures may come out different in their last digits: this is told apart from everything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from services.domain.ab_evaluation import ABTestEvaluation, evaluate_test
from services.domain.ab_inputs import ab_inputs_from
from services.domain.decision import Decision
from services.domain.errors import Conflict
from services.domain.evaluation import Evaluation, evaluate, inputs_from
from services.domain.policy import Act

CANARY, AB_TEST = "canary", "ab_test"
NOT_COMPARED = frozenset({"method"})
"""What evidence says of itself: a newer method that comes to the same is no difference."""
ROUNDING = 1e-9
"""By how much of a figure rounding may move it; another count in the inputs moves it further."""
NOTHING = 1e-15
"""What may be left over of numbers that cancel out."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that came out differently. ``path`` says where it is in the decision."""

    path: str
    stored: Any
    recomputed: Any

    @property
    def is_rounding(self) -> bool:
        """Whether both are numbers that are the same but for their last digits."""
        numbers = (self.stored, self.recomputed)
        if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
            return False
        return math.isclose(*numbers, rel_tol=ROUNDING, abs_tol=NOTHING)


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision as it was recorded and as it comes out of its inputs now."""

    decision: Decision
    evaluation: Evaluation | ABTestEvaluation
    differences: tuple[Difference, ...]


def replay(decision: Decision) -> Replay:
    """Recompute a decision from its inputs. Raises Conflict where there is nothing to recompute."""
    evaluation = _evaluate(decision)
    judgement = evaluation.judgement
    decided: dict[str, Any] = {"action": None, "rule": judgement.rule, "reason": judgement.reason}
    if isinstance(judgement, Act):
        decided |= {
            "action": judgement.action,
            "next_step": judgement.next_step,
            "next_share_bp": judgement.next_share_bp,
            "variant_key": judgement.variant_key,
        }
    differences = [
        Difference(name, getattr(decision, name), value)
        for name, value in decided.items()
        if getattr(decision, name) != value
    ]
    differences += _differences("evidence", decision.evidence, evaluation.evidence())
    return Replay(decision, evaluation, tuple(differences))


def _evaluate(decision: Decision) -> Evaluation | ABTestEvaluation:
    kind = decision.method.partition("/")[0]
    if not decision.inputs or kind not in (CANARY, AB_TEST):
        raise Conflict(
            f"decision {decision.decision_id} was made by {decision.actor!r}, not by a policy: there is "
            "nothing to recompute, its reason is its own"
        )
    try:
        if kind == CANARY:
            return evaluate(inputs_from(decision.inputs))
        return evaluate_test(ab_inputs_from(decision.inputs))
    except (msgspec.ValidationError, ValueError, KeyError) as error:
        raise Conflict(
            f"the inputs of decision {decision.decision_id} cannot be read as {decision.method!r}: {error}; "
            "was it recorded by a newer release?"
        ) from error


def _differences(path: str, stored: Any, recomputed: Any) -> list[Difference]:
    """Compare what is stored with what came out; what an older method did not store is not missed."""
    if isinstance(stored, dict) and isinstance(recomputed, dict):
        return [
            difference
            for key in stored
            if key not in NOT_COMPARED
            for difference in _differences(f"{path}.{key}", stored[key], recomputed.get(key))
        ]
    if isinstance(stored, list | tuple) and isinstance(recomputed, list | tuple):
        if len(stored) != len(recomputed):
            return [Difference(path, stored, recomputed)]
        return [
            difference
            for place, (one, other) in enumerate(zip(stored, recomputed, strict=True))
            for difference in _differences(f"{path}[{place}]", one, other)
        ]
    return [] if _is_same(stored, recomputed) else [Difference(path, stored, recomputed)]


def _is_same(stored: Any, recomputed: Any) -> bool:
    if isinstance(stored, bool) or isinstance(recomputed, bool):
        return stored is recomputed
    if isinstance(stored, int | float) and isinstance(recomputed, int | float):
        # JSON may give a whole number back as an integer.
        return float(stored) == float(recomputed)
    return bool(stored == recomputed)
