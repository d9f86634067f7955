"""An A/B test over a route's allocation."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.allocation import Allocation, Change, TestSplit, apply_change
from services.domain.errors import InvalidDefinition, VersionConflict

CANARY, TEST = UUID(int=1), UUID(int=2)
SPLIT = TestSplit(TEST, 5_000, ("old", "short", "long"), (5_000, 3_000, 2_000))
ALONE = Allocation("chat", 1, "old").with_test(SPLIT)
BOTH = ALONE.with_experiment(CANARY, "new", 1_000)


def change(action: str, experiment_id: UUID, version: int, variant: str | None = None) -> Change:
    return Change(action, experiment_id, version, variant_key=variant)  # type: ignore[arg-type]


def test_a_split_is_what_its_definition_says() -> None:
    variants = (WeightedVariant("old", 0.5), WeightedVariant("short", 0.3), WeightedVariant("long", 0.2))
    definition = ABTestDefinition(variants=variants, goals=("cost",), traffic_share=0.5)
    assert TestSplit.of(TEST, definition) == SPLIT


@given(st.integers(0, 10_000), st.integers(0, 9_999))
def test_weights_cover_all_units(traffic_bp: int, share_bp: int) -> None:
    allocation = replace(BOTH, treatment_share_bp=share_bp, test=SPLIT.with_traffic(traffic_bp))
    assert sum(allocation.weights.values()) == pytest.approx(1)
    assert min(allocation.weights.values()) >= 0
    assert allocation.weights.keys() == allocation.variant_keys


def test_units_outside_a_treatment_get_what_lies_below() -> None:
    assert BOTH.weights == pytest.approx({"old": 0.675, "new": 0.075, "short": 0.15, "long": 0.1})


def test_the_control_is_what_is_stable() -> None:
    with pytest.raises(InvalidDefinition, match="stable variant as its control"):
        Allocation("chat", 1, "another").with_test(SPLIT)


@pytest.mark.parametrize("allocation", [ALONE, BOTH])
def test_a_rollback_takes_the_test_off_whatever_it_finds(allocation: Allocation) -> None:
    after = apply_change(allocation, change("rollback", TEST, version=-1))
    assert after == replace(allocation, version=allocation.version + 1, test=None)


def test_a_promotion_makes_a_treatment_stable() -> None:
    after = apply_change(ALONE, change("promote", TEST, ALONE.version, "long"))
    assert after == Allocation("chat", ALONE.version + 1, "long")


def test_no_two_promotions_meet() -> None:
    with pytest.raises(VersionConflict, match="a canary runs"):
        apply_change(BOTH, change("promote", TEST, BOTH.version, "long"))
    with pytest.raises(VersionConflict, match="decided on allocation"):
        apply_change(ALONE, change("promote", TEST, ALONE.version - 1, "long"))


def test_a_promoted_canary_becomes_the_control() -> None:
    after = apply_change(BOTH, change("promote", CANARY, BOTH.version))
    assert after.stable == "new"
    assert after.test == SPLIT.with_control("new")


def test_a_canary_that_ends_otherwise_leaves_the_test_as_it_is() -> None:
    assert apply_change(BOTH, change("rollback", CANARY, BOTH.version)).test == SPLIT
