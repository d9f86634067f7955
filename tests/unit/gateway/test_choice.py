"""Which variant a unit gets, and that nobody gets a canary that nobody measures."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.assignment import basis_point, split_salt
from services.domain.configuration import ExperimentConfig, OnBlind, RouteConfig, VariantConfig
from services.domain.events import Role, UnitSource
from services.gateway.body import open_body
from services.gateway.choice import choose, find_unit
from services.gateway.choices import Choice
from services.gateway.rejections import InvalidRequest
from services.gateway.surfaces import CHAT, Call
from services.gateway.view import ServedRoute

EXPERIMENT_ID = UUID(int=7)
NOW = 1_000_000.0
FRESH = {EXPERIMENT_ID: NOW - 1}


def served(share_bp: int | None, on_blind: OnBlind = "control") -> ServedRoute:
    experiment = None
    if share_bp is not None:
        experiment = ExperimentConfig(
            experiment_id=EXPERIMENT_ID,
            key="canary",
            phase=3,
            salt="salt",
            control="old",
            treatment="new",
            treatment_share_bp=share_bp,
            on_blind=on_blind,
            lease_limit_seconds=60.0,
        )
    variants = {key: VariantConfig(key=key, endpoint_keys=("e",)) for key in ("old", "new")}
    return ServedRoute(
        RouteConfig(
            version=(1, 1),
            key="r",
            stable="old",
            variants=variants,
            allocation_version=1,
            experiment=experiment,
        )
    )


def says_blind(choice: Choice) -> bool:
    return b"x-headgate-blind: canary\r\n" in choice.fields


@given(st.text(), st.integers(1, 9_999))
def test_the_place_of_the_unit_decides(unit_id: str, share_bp: int) -> None:
    choice = choose(served(share_bp), unit_id, FRESH, NOW)
    treated = basis_point(split_salt("salt"), unit_id) < share_bp
    assert choice.variant_key == ("new" if treated else "old")
    (assigned,) = choice.assignments
    assert assigned.role is (Role.TREATMENT if treated else Role.CONTROL)
    assert assigned.treatment_share_bp == share_bp
    assert (assigned.experiment_id, assigned.phase) == (EXPERIMENT_ID, 3)


@pytest.mark.parametrize("share_bp", [None, 0])
def test_without_a_split_the_stable_variant_serves_and_nobody_is_assigned(share_bp: int | None) -> None:
    choice = choose(served(share_bp), "ada", FRESH, NOW)
    assert (choice.variant_key, choice.assignments) == ("old", ())


@pytest.mark.parametrize(
    ("measured_at", "blind"),
    [({}, True), ({EXPERIMENT_ID: NOW - 61}, True), ({EXPERIMENT_ID: NOW - 60}, False)],
)
def test_a_lease_that_ran_out_takes_the_treatment_away(measured_at: dict[UUID, float], blind: bool) -> None:
    route = served(9_999)
    unit_id = next(u for u in map(str, range(99)) if basis_point(split_salt("salt"), u) < 9_999)
    choice = choose(route, unit_id, measured_at, NOW)
    assert says_blind(choice) is blind
    assert choice.variant_key == ("old" if blind else "new")
    assert (choice.assignments == ()) is blind


def test_a_lease_that_is_renewed_gives_the_treatment_back() -> None:
    route, measured_at = served(9_999), {EXPERIMENT_ID: NOW}
    unit_id = next(u for u in map(str, range(99)) if basis_point(split_salt("salt"), u) < 9_999)
    blind = [says_blind(choose(route, unit_id, measured_at, now)) for now in (NOW, NOW + 60, NOW + 61)]
    assert blind == [False, False, True]
    measured_at[EXPERIMENT_ID] = NOW + 2
    blind = [says_blind(choose(route, unit_id, measured_at, now)) for now in (NOW + 62, NOW + 63)]
    assert blind == [False, True]


def test_an_experiment_may_hold_its_split_while_nobody_measures() -> None:
    choice = choose(served(9_999, on_blind="hold"), "ada", {}, NOW)
    assert says_blind(choice)
    assert choice.variant_key == "new"
    assert len(choice.assignments) == 1


BODY = open_body(b'{"model": "r", "user": "u", "safety_identifier": "s"}', Call(CHAT))
USER_ONLY = open_body(b'{"model": "r", "user": "u", "safety_identifier": ""}', Call(CHAT))
NOBODY = open_body(b'{"model": "r", "user": 5}', Call(CHAT))


def test_where_the_unit_is_found() -> None:
    assert find_unit("é".encode(), BODY, "id", "reject") == ("é", UnitSource.HEADER)
    assert find_unit(b"", BODY, "id", "reject") == ("s", UnitSource.SAFETY_IDENTIFIER)
    assert find_unit(None, USER_ONLY, "id", "reject") == ("u", UnitSource.USER)
    assert find_unit(None, NOBODY, "id", "request") == ("id", UnitSource.REQUEST)
    with pytest.raises(InvalidRequest, match="x-headgate-unit"):
        find_unit(None, NOBODY, "id", "reject")


def test_a_header_that_is_no_utf8_is_still_one_unit() -> None:
    assert find_unit(b"\xff1", BODY, "id", "reject") == ("\\xff1", UnitSource.HEADER)
