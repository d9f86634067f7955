"""What a canary's definition may say, and which field is named where it says something else."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.canary import (
    CanaryDefinition,
    CanaryPlan,
    Guardrail,
    KillSwitch,
    SequentialPolicy,
    ThresholdPolicy,
    check_definition,
    check_share,
)
from services.domain.errors import InvalidDefinition


def check(**changes: Any) -> None:
    check_definition(CanaryDefinition(**{"treatment": "new", **changes}), control="old")


def plan(**changes: Any) -> dict[str, Any]:
    return {"plan": CanaryPlan(**changes)}


def sequential(**changes: Any) -> dict[str, Any]:
    return {"policy": SequentialPolicy(**changes)}


def threshold(**changes: Any) -> dict[str, Any]:
    return {"policy": ThresholdPolicy(**changes)}


def test_the_defaults_are_good() -> None:
    check()
    check(policy=ThresholdPolicy())


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"treatment": "old"}, "treatment"),
        (plan(steps=()), "plan.steps"),
        (plan(steps=(0.0,)), "plan.steps[0]"),
        (plan(steps=(0.1, 1.0)), "plan.steps[1]"),
        (plan(steps=(0.1, 0.1)), "plan.steps[1]"),
        (plan(steps=(0.1, 0.2, 0.15)), "plan.steps[2]"),
        (plan(steps=(0.00005,)), "plan.steps[0]"),
        (plan(step_minimum_seconds=-1), "plan.step_minimum_seconds"),
        (plan(step_minimum_units=0), "plan.step_minimum_units"),
        (plan(planned_duration_minutes=0), "plan.planned_duration_minutes"),
        (sequential(alpha_rollback=0), "policy.alpha_rollback"),
        (sequential(alpha_promote=1), "policy.alpha_promote"),
        (sequential(margin_promote=0), "policy.margin_promote"),
        (sequential(guardrails=()), "policy.guardrails"),
        (sequential(guardrails=(Guardrail(), Guardrail())), "policy.guardrails"),
        (sequential(guardrails=(Guardrail(margin=-0.1),)), "policy.guardrails[0].margin"),
        (threshold(window_minutes=0), "policy.window_minutes"),
        (threshold(interval_seconds=0.5), "policy.interval_seconds"),
        (threshold(margin=1), "policy.margin"),
        (threshold(minimum_requests=0), "policy.minimum_requests"),
        ({"kill_switch": KillSwitch(error_rate=0)}, "kill_switch.error_rate"),
        ({"kill_switch": KillSwitch(minimum_requests=0)}, "kill_switch.minimum_requests"),
        ({"lease_limit_seconds": 4.9}, "lease_limit_seconds"),
        ({"lease_limit_seconds": float("nan")}, "lease_limit_seconds"),
    ],
)
def test_a_broken_rule_names_its_field(definition: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        check(**definition)
    assert caught.value.field == field
    assert caught.value.problem


@given(st.integers(1, 9_999))
def test_every_basis_point_is_a_share(share_bp: int) -> None:
    assert check_share("share", share_bp / 10_000) == share_bp


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_share_is_exact_or_refused(share: float) -> None:
    try:
        share_bp = check_share("share", share)
    except InvalidDefinition:
        return
    assert 0 <= share_bp < 10_000
    assert share_bp / 10_000 == pytest.approx(share, abs=1e-9)


def test_a_definition_survives_storage() -> None:
    definition = CanaryDefinition(
        treatment="new",
        plan=CanaryPlan(steps=(0.1, 0.5), deadline_policy="rollback"),
        policy=ThresholdPolicy(margin=0.1),
        on_blind="hold",
    )
    assert msgspec.convert(msgspec.to_builtins(definition), CanaryDefinition) == definition
