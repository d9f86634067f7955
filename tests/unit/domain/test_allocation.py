"""Allocations always cover all traffic, and change only as they may."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.allocation import Allocation, Change, apply_change
from services.domain.errors import InvalidDefinition, VersionConflict

EXPERIMENT, OTHER = UUID(int=1), UUID(int=2)
PLAIN = Allocation("chat", 1, "old")
CANARY = PLAIN.with_experiment(EXPERIMENT, "new", 500)

shares = st.integers(0, 9_999)


def change(action: str, version: int = CANARY.version, experiment_id: UUID = EXPERIMENT) -> Change:
    return Change(action, experiment_id, version, next_share_bp=2_500, next_step=1)  # type: ignore[arg-type]


@given(shares)
def test_weights_cover_all_traffic(share_bp: int) -> None:
    for allocation in (PLAIN, CANARY.with_share(share_bp), CANARY.without_experiment("new")):
        assert sum(allocation.weights_bp.values()) == 10_000
        assert min(allocation.weights_bp.values()) >= 0


@given(shares, st.integers(0, 5))
def test_every_change_is_the_next_version(share_bp: int, step: int) -> None:
    after = CANARY.with_share(share_bp, step=step)
    assert (after.version, after.step, after.treatment_share_bp) == (CANARY.version + 1, step, share_bp)
    assert after.without_experiment("old").version == after.version + 1


def test_a_share_set_by_hand_keeps_the_step() -> None:
    assert CANARY.with_share(2_500, step=1).with_share(3_000).step == 1


@pytest.mark.parametrize("share_bp", [-1, 10_000])
def test_a_share_is_never_all_traffic(share_bp: int) -> None:
    with pytest.raises(InvalidDefinition, match="promote"):
        CANARY.with_share(share_bp)


def test_a_share_needs_a_treatment() -> None:
    with pytest.raises(InvalidDefinition, match="needs an experiment"):
        replace(PLAIN, treatment_share_bp=1)


def test_advance() -> None:
    after = apply_change(CANARY, change("advance"))
    assert (after.treatment_share_bp, after.step, after.version) == (2_500, 1, 3)
    assert after.experiment_id == EXPERIMENT


def test_promote() -> None:
    for_good = replace(change("promote"), next_share_bp=None, next_step=None)
    assert apply_change(CANARY, for_good) == Allocation("chat", 3, "new")


def test_promote_and_keep_a_holdback_to_watch() -> None:
    watched = replace(change("promote"), next_share_bp=9_500, next_step=None)
    after = apply_change(CANARY.with_share(5_000, step=3), replace(watched, based_on_version=3))
    assert (after.stable, after.treatment, after.experiment_id) == ("old", "new", EXPERIMENT)
    assert (after.treatment_share_bp, after.step, after.version) == (9_500, 3, 4)


def test_rollback() -> None:
    assert apply_change(CANARY, change("rollback")) == Allocation("chat", 3, "old")


@given(st.integers(0, 100), shares)
def test_a_rollback_applies_to_whatever_it_finds(version: int, share_bp: int) -> None:
    moved = replace(CANARY, version=version, treatment_share_bp=share_bp)
    after = apply_change(moved, change("rollback", version=2))
    assert after == Allocation("chat", version + 1, "old")


@pytest.mark.parametrize("action", ["advance", "promote"])
@pytest.mark.parametrize("version", [1, 3])
def test_anything_else_needs_the_allocation_it_was_based_on(action: str, version: int) -> None:
    with pytest.raises(VersionConflict, match=f"decided on allocation {version}"):
        apply_change(CANARY, change(action, version=version))


@pytest.mark.parametrize("action", ["advance", "promote", "rollback"])
@pytest.mark.parametrize("current", [PLAIN, replace(CANARY, experiment_id=OTHER)])
def test_an_experiment_that_left_changes_nothing(action: str, current: Allocation) -> None:
    with pytest.raises(VersionConflict, match="no longer has a part"):
        apply_change(current, change(action, version=current.version))


def test_an_advance_names_its_share() -> None:
    with pytest.raises(InvalidDefinition, match="next_share"):
        apply_change(CANARY, Change("advance", EXPERIMENT, CANARY.version))
