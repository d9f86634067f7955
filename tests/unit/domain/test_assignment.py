"""Assignment is deterministic, even, independent between experiments, and the same as published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.assignment import (
    ANALYSIS_BUCKETS,
    BASIS_POINTS,
    analysis_bucket,
    basis_point,
    hash64,
    inclusion_salt,
    is_treatment,
    outcome_partition,
    split_salt,
    unit_hash,
    variant_at,
)

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[3] / "docs" / "assignment-vectors.json").read_text()
)

texts = st.text(max_size=40)
shares = st.integers(0, BASIS_POINTS)


@pytest.mark.parametrize("vector", VECTORS["choices"])
def test_the_published_choices(vector: dict[str, Any]) -> None:
    salt, unit_id = vector["salt"], vector["unit_id"]
    assert str(hash64(salt, unit_id)) == vector["hash64"]
    assert basis_point(salt, unit_id) == vector["basis_point"]


@pytest.mark.parametrize("vector", VECTORS["units"])
def test_the_published_units(vector: dict[str, Any]) -> None:
    hashed = unit_hash(vector["unit_id"])
    assert str(hashed) == vector["unit_hash"]
    assert analysis_bucket(hashed) == vector["analysis_bucket"]
    assert outcome_partition(hashed, 8) == vector["outcome_partition_of_8"]


@pytest.mark.parametrize("vector", VECTORS["tests"])
def test_the_published_tests(vector: dict[str, Any]) -> None:
    unit_id, weights_bp = vector["unit_id"], vector["weights_bp"]
    included = basis_point(inclusion_salt(vector["salt"]), unit_id)
    place = basis_point(split_salt(vector["salt"]), unit_id)
    assert (included, place) == (vector["inclusion_place"], vector["split_place"])
    taking_part = included < vector["traffic_bp"]
    assert (variant_at(place, weights_bp) if taking_part else None) == vector["variant_index"]


@given(texts, texts)
def test_places_lie_on_the_scale(salt: str, unit_id: str) -> None:
    assert 0 <= basis_point(salt, unit_id) < BASIS_POINTS
    assert 0 <= analysis_bucket(unit_hash(unit_id)) < ANALYSIS_BUCKETS


@given(texts, texts, texts)
def test_the_border_between_salt_and_unit_is_part_of_what_is_hashed(one: str, two: str, three: str) -> None:
    if two:
        assert hash64(one + two, three) != hash64(one, two + three)


@given(texts, texts, shares, shares)
def test_a_higher_share_takes_the_treatment_from_nobody(
    salt: str, unit_id: str, one: int, other: int
) -> None:
    place = basis_point(salt, unit_id)
    low, high = sorted((one, other))
    assert not is_treatment(place, low) or is_treatment(place, high)


def test_nobody_has_the_treatment_at_share_0_and_everybody_at_10000() -> None:
    places = range(BASIS_POINTS)
    assert not any(is_treatment(place, 0) for place in places)
    assert all(is_treatment(place, BASIS_POINTS) for place in places)


@pytest.mark.parametrize("share_bp", [100, 1_000, 5_000])
def test_the_share_is_met(share_bp: int) -> None:
    units = 40_000
    salt = split_salt("even")
    treated = sum(is_treatment(basis_point(salt, f"user-{i}"), share_bp) for i in range(units))
    share = share_bp / BASIS_POINTS
    assert abs(treated - units * share) < 5 * (units * share * (1 - share)) ** 0.5


def test_two_experiments_split_independently() -> None:
    units = [f"user-{i}" for i in range(40_000)]
    first = {u for u in units if is_treatment(basis_point(split_salt("first"), u), 1_000)}
    both = sum(is_treatment(basis_point(split_salt("second"), u), 1_000) for u in first)
    assert abs(both - len(first) * 0.1) < 5 * (len(first) * 0.09) ** 0.5


def test_a_lone_surrogate_is_a_unit_like_any_other() -> None:
    assert unit_hash("\ud800") != unit_hash("\ud801")
