"""Which headers the definition of an A/B test may name."""

from typing import Any

import pytest

from services.domain.ab_test import ABTestDefinition, WeightedVariant, check_ab_test
from services.domain.configuration import SegmentConfig
from services.domain.errors import InvalidDefinition
from services.domain.metric import BUILT_IN
from services.domain.request_headers import CREDENTIAL_HEADERS


def check(**changes: Any) -> None:
    definition = ABTestDefinition(
        variants=(WeightedVariant("old", 0.5), WeightedVariant("new", 0.5)),
        goals=("cost",),
        metrics=(BUILT_IN["cost"], BUILT_IN["error_rate"]),
        **changes,
    )
    check_ab_test(definition, control="old")


def test_other_headers_are_fine() -> None:
    check(
        segments=(SegmentConfig("tier", "x-tenant-tier"), SegmentConfig("model")), covariate_header="X-Spent"
    )


@pytest.mark.parametrize("header", [*sorted(CREDENTIAL_HEADERS), "Authorization", "X-API-Key", " cookie "])
def test_no_header_that_carries_credentials_is_read(header: str) -> None:
    tier = SegmentConfig("tier", "x-tenant-tier")
    with pytest.raises(InvalidDefinition, match="carries credentials") as of_segment:
        check(segments=(tier, SegmentConfig("auth", header)))
    assert of_segment.value.field == "segments[1].header"
    with pytest.raises(InvalidDefinition, match="in a header of its own") as of_covariate:
        check(covariate_header=header)
    assert of_covariate.value.field == "covariate_header"
