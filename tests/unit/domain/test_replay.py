"""A decision holds where its inputs come to it again; the least difference shows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.domain.ab_evaluation import METHOD, evaluate_test
from services.domain.decision import Decision
from services.domain.errors import Conflict
from services.domain.policy import Act
from services.domain.replay import Difference, replay
from tests.unit.domain.sums import definition, inputs, two


def stored(value: Any) -> Any:
    """As the database gives JSON back: whole numbers may come as integers."""
    return json.loads(
        json.dumps(value),
        parse_float=lambda text: int(float(text)) if float(text).is_integer() else float(text),
    )


def a_decision() -> Decision:
    evaluation = evaluate_test(inputs(two(cost=0.8), defined=definition(on_winner="promote")))
    act = evaluation.judgement
    assert isinstance(act, Act)
    return Decision(
        decision_id=UUID(int=1),
        experiment_id=UUID(int=2),
        phase=1,
        action=act.action,
        rule=act.rule,
        reason=act.reason,
        actor="policy",
        allocation_version=3,
        decided_at=datetime(2026, 11, 23, tzinfo=UTC),
        variant_key=act.variant_key,
        evidence=stored(evaluation.evidence()),
        inputs=stored({**evaluation.inputs_body(), "offsets": {"0": 5}}),
        method=METHOD,
    )


DECISION = a_decision()


def test_a_decision_holds() -> None:
    assert replay(DECISION).differences == ()


def test_a_figure_that_is_off_in_its_last_bit_shows() -> None:
    evidence = json.loads(json.dumps(DECISION.evidence))
    verdict = next(one for one in evidence["verdicts"] if one["metric"] == "cost")
    verdict["figures"]["p_value"] *= 1 + 2.3e-16
    (difference,) = replay(replace(DECISION, evidence=evidence)).differences
    assert difference.path.startswith("evidence.verdicts[")
    assert difference.path.endswith(".figures.p_value")
    assert difference.is_rounding


@pytest.mark.parametrize(
    ("recorded", "recomputed", "is_rounding"),
    [
        (0.1, 0.1 + 1e-17, True),
        (0.0, 1e-17, True),
        (1e-11, 2e-11, False),
        (412.5, 412.5000001, True),
        (412.5, 412.6, False),
        (0.011, 0.012, False),
        (3, 4, False),
        (True, 1.0, False),
        ("rollback", "promote", False),
        (None, 0.0, False),
    ],
)
def test_last_digits_are_told_apart_from_other_figures(
    recorded: object, recomputed: object, is_rounding: bool
) -> None:
    """Another kind of processor adds in another order."""
    assert Difference("evidence.e_value", recorded, recomputed).is_rounding == is_rounding


def test_another_action_shows() -> None:
    paths = {one.path for one in replay(replace(DECISION, action="rollback", variant_key=None)).differences}
    assert paths == {"action", "variant_key"}


def test_other_inputs_show() -> None:
    counts = [list(row) for row in DECISION.inputs["counts"]]
    counts[0][4] += 1
    assert replay(replace(DECISION, inputs={**DECISION.inputs, "counts": counts})).differences


@pytest.mark.parametrize("changes", [{"method": ""}, {"inputs": {}}, {"method": "by hand"}])
def test_a_persons_decision_has_nothing_to_recompute(changes: dict[str, Any]) -> None:
    with pytest.raises(Conflict, match="nothing to recompute"):
        replay(replace(DECISION, actor="kim", **changes))


def test_inputs_that_cannot_be_read_say_so() -> None:
    with pytest.raises(Conflict, match="cannot be read"):
        replay(replace(DECISION, inputs={"definition": {}}))
