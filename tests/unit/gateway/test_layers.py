"""An A/B test and a canary on one route: the test is laid over what the canary picked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import ExperimentConfig, RouteConfig, TestConfig, VariantConfig
from services.domain.events import Role
from services.gateway.choice import choose
from services.gateway.choices import Choice
from services.gateway.view import ConfigView, ServedRoute

CANARY_ID, TEST_ID = UUID(int=1), UUID(int=2)
NOW = 1_000_000.0
FRESH = {CANARY_ID: NOW, TEST_ID: NOW}
UNITS = [f"user-{number}" for number in range(20_000)]

CANARY = ExperimentConfig(
    experiment_id=CANARY_ID,
    key="the-canary",
    phase=1,
    salt=str(CANARY_ID),
    control="stable",
    treatment="canary",
    treatment_share_bp=2_000,
)


def running_test(**changes: Any) -> TestConfig:
    values: dict[str, Any] = {
        "experiment_id": TEST_ID,
        "key": "the-test",
        "phase": 4,
        "salt": str(TEST_ID),
        "traffic_bp": 5_000,
        "variants": ("stable", "one", "two"),
        "weights_bp": (6_000, 3_000, 1_000),
    }
    return TestConfig(**(values | changes))


def route(test: TestConfig | None, canary: ExperimentConfig | None = None) -> ServedRoute:
    keys = ("stable", "canary", "one", "two")
    return ServedRoute(
        RouteConfig(
            version=(1, 1),
            key="support",
            stable="stable",
            variants={key: VariantConfig(key=key, endpoint_keys=("e",)) for key in keys},
            allocation_version=5,
            experiment=canary,
            test=test,
        )
    )


BOTH = route(running_test(), CANARY)
ONLY_CANARY = route(None, CANARY)
ONLY_TEST = route(running_test())


@given(st.text())
def test_neither_changes_the_others_assignment(unit_id: str) -> None:
    both = choose(BOTH, unit_id, FRESH, NOW)
    canary, test = choose(ONLY_CANARY, unit_id, FRESH, NOW), choose(ONLY_TEST, unit_id, FRESH, NOW)
    assert both.assignments == canary.assignments + test.assignments
    index = test.assignments[0].variant_index if test.assignments else 0
    assert both.variant_key == (("stable", "one", "two")[index] if index else canary.variant_key)


def test_the_two_are_independent() -> None:
    found: dict[tuple[Role, int], int] = {}
    for unit in UNITS:
        canary, *test = choose(BOTH, unit, FRESH, NOW).assignments
        place = canary.role, test[0].variant_index if test else -1
        found[place] = found.get(place, 0) + 1
    for role, share in ((Role.TREATMENT, 0.2), (Role.CONTROL, 0.8)):
        for index, inside in ((-1, 0.5), (0, 0.3), (1, 0.15), (2, 0.05)):
            expected = share * inside
            deviation = (len(UNITS) * expected * (1 - expected)) ** 0.5
            assert abs(found[role, index] - len(UNITS) * expected) < 5 * deviation


def test_a_unit_outside_the_traffic_share_is_served_as_without_the_test() -> None:
    outside = [unit for unit in UNITS[:500] if not choose(ONLY_TEST, unit, FRESH, NOW).assignments]
    assert 150 < len(outside) < 350
    for unit in outside:
        choice = choose(ONLY_TEST, unit, FRESH, NOW)
        assert (choice.variant_key, choice.test) == ("stable", None)
        assert b"x-headgate-test" not in choice.fields


@pytest.mark.parametrize("test", [None, running_test(traffic_bp=0), running_test(weights_bp=(1, 1, 1))])
def test_no_test_or_one_that_stands_still_assigns_nobody(test: TestConfig | None) -> None:
    served = route(test)
    assert {choose(served, unit, FRESH, NOW).variant_key for unit in UNITS[:200]} == {"stable"}
    assert {choose(served, unit, FRESH, NOW).assignments for unit in UNITS[:200]} == {()}


def test_an_unmeasured_test_is_no_reason_to_take_the_canary_away() -> None:
    def chosen(measured_at: dict[UUID, float]) -> Choice:
        served = route(running_test(traffic_bp=10_000, weights_bp=(1, 9_998, 1)), CANARY)
        return choose(served, treated, measured_at, NOW)

    treated = next(unit for unit in UNITS if choose(ONLY_CANARY, unit, FRESH, NOW).variant_key == "canary")
    choice = chosen({CANARY_ID: NOW})
    assert (choice.variant_key, len(choice.assignments)) == ("canary", 1)
    assert b"x-headgate-blind: the-test\r\n" in choice.fields

    choice = chosen({TEST_ID: NOW})
    assert (choice.variant_key, choice.assignments[0].experiment_id) == ("one", TEST_ID)
    assert b"x-headgate-blind: the-canary\r\n" in choice.fields

    choice = chosen({})
    assert (choice.variant_key, choice.assignments) == ("stable", ())
    assert b"x-headgate-blind: the-canary, the-test\r\n" in choice.fields


def test_an_unmeasured_test_may_hold_its_split() -> None:
    served = route(running_test(traffic_bp=10_000, on_blind="hold"))
    choice = choose(served, "ada", {}, NOW)
    assert choice.assignments == choose(served, "ada", FRESH, NOW).assignments
    assert b"x-headgate-blind: the-test\r\n" in choice.fields


def test_the_headers_name_the_test_and_the_assigned_variant() -> None:
    served = route(running_test(traffic_bp=10_000))
    unit = next(unit for unit in UNITS if choose(served, unit, FRESH, NOW).variant_key == "two")
    assert choose(served, unit, FRESH, NOW).fields == (
        b"x-headgate-route: support\r\n"
        b"x-headgate-variant: two\r\n"
        b"x-headgate-allocation: 5\r\n"
        b"x-headgate-test: the-test\r\n"
        b"x-headgate-test-variant: two\r\n"
    )


def test_a_key_cannot_end_its_line() -> None:
    served = route(running_test(key="a\r\nset-cookie: b", traffic_bp=10_000))
    assert b"x-headgate-test: a??set-cookie: b\r\n" in choose(served, "ada", FRESH, NOW).fields


def test_a_new_split_is_served_as_soon_as_it_is_known() -> None:
    view = ConfigView([route(running_test(traffic_bp=10_000)).config])
    before = choose(view.routes["support"], "ada", FRESH, NOW).assignments
    changed = running_test(traffic_bp=10_000, phase=5, weights_bp=(1, 1, 9_998))
    config = route(changed).config
    view.put(msgspec.structs.replace(config, version=(1, 2)))
    after = choose(view.routes["support"], "ada", FRESH, NOW)
    assert (before[0].phase, after.assignments[0].phase) == (4, 5)
    assert (after.variant_key, after.assignments[0].propensity_bp) == ("two", 9_998)
