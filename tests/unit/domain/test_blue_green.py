"""Slots through every way that a deployment can go, and the rules of its definition."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.allocation import Allocation, Change, apply_change
from services.domain.blue_green import check_blue_green, slots_of
from services.domain.canary import KillSwitch, ThresholdPolicy
from services.domain.errors import InvalidDefinition
from services.domain.experiment import BlueGreenDefinition

ID = UUID(int=5)
START = Allocation("chat", 1, "old")
DEPLOYED = START.with_deployment(ID, "new")
SWITCHED = DEPLOYED.switched(9_500)


def shown(allocation: Allocation) -> dict[str, tuple[str | None, bool]]:
    return {slot.name: (slot.variant, slot.is_active) for slot in slots_of(allocation)}


def decided(allocation: Allocation, action: Any) -> Allocation:
    return apply_change(allocation, Change(action, ID, allocation.version))


def test_blue_is_active_at_first_and_holds_the_stable_variant() -> None:
    assert shown(START) == {"blue": ("old", True), "green": (None, False)}


def test_a_deployment_is_in_the_idle_slot_and_serves_nobody() -> None:
    assert shown(DEPLOYED) == {"blue": ("old", True), "green": ("new", False)}
    assert DEPLOYED.weights == {"old": 1.0, "new": 0.0}
    assert DEPLOYED.variant_keys == {"old", "new"}


def test_a_switch_is_one_version_and_leaves_the_holdback() -> None:
    assert SWITCHED.version == DEPLOYED.version + 1
    assert shown(SWITCHED) == {"blue": ("old", False), "green": ("new", True)}
    assert SWITCHED.weights == {"old": pytest.approx(0.05), "new": pytest.approx(0.95)}


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        (DEPLOYED, "rollback", {"blue": ("old", True), "green": (None, False)}),
        (SWITCHED, "rollback", {"blue": ("old", True), "green": (None, False)}),
        (SWITCHED, "promote", {"blue": (None, False), "green": ("new", True)}),
        # Without a holdback the switch is a promotion.
        (DEPLOYED, "promote", {"blue": (None, False), "green": ("new", True)}),
    ],
)
def test_how_it_ends(before: Allocation, action: str, after: dict[str, Any]) -> None:
    ended = decided(before, action)
    assert shown(ended) == after
    assert ended.experiment_id is None
    assert ended.variant_keys == {ended.stable}


def test_the_next_deployment_goes_to_the_other_slot() -> None:
    next_one = decided(SWITCHED, "promote").with_deployment(ID, "newer")
    assert shown(next_one) == {"blue": ("newer", False), "green": ("new", True)}
    assert shown(next_one.switched(9_000)) == {"blue": ("newer", True), "green": ("new", False)}


def test_a_canary_changes_what_is_in_the_active_slot() -> None:
    promoted = decided(START.with_experiment(ID, "new", 500), "promote")
    assert shown(promoted) == {"blue": ("new", True), "green": (None, False)}


@given(st.lists(st.sampled_from(["deploy", "switch", "promote", "rollback", "canary"]), max_size=30))
def test_whatever_happens_the_active_slot_serves_most(walk: list[str]) -> None:
    allocation = START
    for number, step in enumerate(walk):
        if step == "deploy" and allocation.experiment_id is None:
            allocation = allocation.with_deployment(ID, f"variant-{number}")
        elif step == "canary" and allocation.experiment_id is None:
            allocation = allocation.with_experiment(ID, f"variant-{number}", 500)
        elif step == "switch" and allocation.idle_variant == allocation.treatment is not None:
            allocation = allocation.switched(9_500)
        elif step in ("promote", "rollback") and allocation.experiment_id is not None:
            allocation = decided(allocation, step)
        blue, green = slots_of(allocation)
        active, idle = (blue, green) if blue.is_active else (green, blue)
        assert active.is_active is not idle.is_active
        assert active.variant is not None
        assert allocation.weights[active.variant] >= 0.9
        assert idle.variant != active.variant
        assert idle.variant is None or idle.variant in allocation.variant_keys


def test_nothing_gets_into_a_slot_by_itself() -> None:
    with pytest.raises(InvalidDefinition, match="idle_variant"):
        Allocation("chat", 1, "old", idle_variant="stranger")


def test_the_watch_is_judged_as_a_canarys() -> None:
    definition = BlueGreenDefinition(
        treatment="new",
        holdback_share=0.1,
        watch_minutes=7,
        policy=ThresholdPolicy(),
        kill_switch=KillSwitch(error_rate=0.3),
        mode="observe",
    )
    judged = definition.judged_as
    assert judged.plan.watch == definition.watch
    assert judged.plan.watch.promoted_share_bp == 9_000
    assert (judged.policy, judged.kill_switch, judged.mode) == (
        definition.policy,
        definition.kill_switch,
        "observe",
    )
    assert judged.on_blind == "hold"


def test_a_definition_survives_storage() -> None:
    definition = BlueGreenDefinition(treatment="new")
    assert msgspec.convert(msgspec.to_builtins(definition), BlueGreenDefinition) == definition


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"treatment": "old"}, "treatment"),
        ({"checks": ()}, "checks"),
        ({"checks_within_seconds": 0.5}, "checks_within_seconds"),
        ({"checks_within_seconds": 301.0}, "checks_within_seconds"),
        ({"holdback_share": 0.6}, "holdback_share"),
        ({"watch_minutes": 0}, "watch_minutes"),
        ({"kill_switch": KillSwitch(error_rate=0.0)}, "kill_switch.error_rate"),
        ({"policy": ThresholdPolicy(window_minutes=0)}, "policy.window_minutes"),
        ({"lease_limit_seconds": 1.0}, "lease_limit_seconds"),
    ],
)
def test_definitions_that_cannot_be(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        check_blue_green(BlueGreenDefinition(**{"treatment": "new"} | changes), control="old")
    assert refused.value.field == field
