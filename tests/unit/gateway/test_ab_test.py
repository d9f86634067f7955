"""A test's units: who takes part, who gets what, and what else is known of a request."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import SegmentConfig, TestConfig
from services.domain.events import AssignedTo, Role
from services.domain.metric import LARGEST_REPORTED
from services.gateway.ab_test import LONGEST_ATTRIBUTE, ServedTest, number_of, prepare

UNITS = [f"user-{number}" for number in range(40_000)]


def config(**changes: Any) -> TestConfig:
    values: dict[str, Any] = {
        "experiment_id": UUID(int=9),
        "key": "the-test",
        "phase": 2,
        "salt": "salt",
        "traffic_bp": 10_000,
        "variants": ("control", "one", "two"),
        "weights_bp": (5_000, 3_000, 2_000),
    }
    return TestConfig(**(values | changes))


def shares(found: list[int | None]) -> list[float]:
    taking_part = [index for index in found if index is not None]
    return [taking_part.count(index) / len(taking_part) for index in range(3)]


@pytest.mark.parametrize("traffic_bp", [1_000, 5_000, 10_000])
def test_the_weights_hold_inside_every_traffic_share(traffic_bp: int) -> None:
    test = ServedTest(config(traffic_bp=traffic_bp))
    found = [test.variant_of(unit) for unit in UNITS]
    inside = sum(index is not None for index in found)
    share = traffic_bp / 10_000
    assert abs(inside - len(UNITS) * share) <= 5 * (len(UNITS) * share * (1 - share)) ** 0.5
    for seen, weight in zip(shares(found), (0.5, 0.3, 0.2), strict=True):
        # With one salt for both, a share of 10 % would hold the control alone.
        assert abs(seen - weight) < 5 * (weight * (1 - weight) / inside) ** 0.5


def test_a_larger_share_keeps_everybody_where_they_were() -> None:
    small, large = ServedTest(config(traffic_bp=2_000)), ServedTest(config(traffic_bp=6_000))
    before = {unit: index for unit in UNITS[:5_000] if (index := small.variant_of(unit)) is not None}
    assert before
    assert {unit: large.variant_of(unit) for unit in before} == before


def test_two_tests_know_nothing_of_each_other() -> None:
    one, other = ServedTest(config()), ServedTest(config(salt="another"))
    of_treatment = [unit for unit in UNITS if one.variant_of(unit) == 1]
    found = shares([other.variant_of(unit) for unit in of_treatment])
    for seen, weight in zip(found, (0.5, 0.3, 0.2), strict=True):
        assert abs(seen - weight) < 5 * (weight * (1 - weight) / len(of_treatment)) ** 0.5


def test_nobody_takes_part_without_traffic() -> None:
    test = ServedTest(config(traffic_bp=0))
    assert {test.variant_of(unit) for unit in UNITS[:500]} == {None}


def test_what_is_recorded_of_each_variant() -> None:
    test = ServedTest(config())
    assert test.assignments == (
        AssignedTo(UUID(int=9), 2, Role.CONTROL, 5_000, 0),
        AssignedTo(UUID(int=9), 2, Role.TREATMENT, 3_000, 1),
        AssignedTo(UUID(int=9), 2, Role.TREATMENT, 2_000, 2),
    )


@pytest.mark.parametrize(
    "broken", [{"weights_bp": (5_000, 3_000, 1_999)}, {"weights_bp": (5_000, 5_000)}, {"weights_bp": ()}]
)
def test_weights_that_are_no_split_serve_nobody(
    broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert prepare(config(**broken), "support") is None
    assert "the-test" in caplog.text
    assert prepare(None, "support") is None


SEGMENTS = (
    SegmentConfig("tier", "X-Tenant-Tier"),
    SegmentConfig("region", "x-region"),
    SegmentConfig("model"),
)


def test_segments_come_from_headers() -> None:
    test = ServedTest(config(segments=SEGMENTS))
    about = test.read({b"x-tenant-tier": b" gold ", b"x-other": b"x"})
    assert about.attributes == {"tier": "gold"}
    assert test.with_model(about, "gpt").attributes == {"tier": "gold", "model": "gpt"}
    assert about.covariate is None


def test_no_key_is_read_where_an_older_release_took_such_a_definition() -> None:
    segments = (SegmentConfig("auth", "Authorization"), SegmentConfig("tier", "x-tenant-tier"))
    headers = {b"authorization": b"Bearer hg_secret", b"x-tenant-tier": b"gold"}
    assert ServedTest(config(segments=segments)).read(headers).attributes == {"tier": "gold"}


@given(st.binary(min_size=1, max_size=300))
def test_any_value_is_an_attribute_of_a_bounded_length(value: bytes) -> None:
    found = ServedTest(config(segments=SEGMENTS)).read({b"x-region": value}).attributes["region"]
    assert len(found) <= LONGEST_ATTRIBUTE
    found.encode()


def test_a_model_of_any_length_is_cut_too() -> None:
    test = ServedTest(config(segments=SEGMENTS))
    assert test.with_model(test.read({}), "m" * 500).attributes == {"model": "m" * LONGEST_ATTRIBUTE}


def test_a_covariate_that_is_no_number_is_left_out_and_counted() -> None:
    test = ServedTest(config(covariate_header="X-Spent"))
    given_and_read = [
        (b"12.5", 12.5),
        (b" -3 ", -3.0),
        (b"1e3", 1_000.0),
        (b"nan", None),
        (b"inf", None),
        (b"1_0", None),
        (b"much", None),
        (b"1e6", 1e6),
        (b"1000000.1", None),
        (b"-1e9", None),
        (b"\xff", None),
    ]
    for value, read in given_and_read:
        assert test.read({b"x-spent": value}).covariate == read
    assert test.read({}).covariate is None
    assert test.read({b"x-spent": b""}).covariate is None
    assert test.unreadable_covariates == 7


@given(st.floats(-LARGEST_REPORTED, LARGEST_REPORTED))
def test_every_number_in_range_is_read(number: float) -> None:
    assert number_of(repr(number).encode()) == number
