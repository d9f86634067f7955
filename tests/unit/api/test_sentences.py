"""What callers read instead of a validator's own words."""

from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from services.api.experiment_bodies import NewExperiment
from services.api.problems import _field_error
from services.api.sentences import sentence

CANARY: dict[str, Any] = {"key": "c", "route": "r", "treatment": "new"}
TEST: dict[str, Any] = {
    "key": "t",
    "route": "r",
    "kind": "ab_test",
    "variants": [{"key": "a"}, {"key": "b"}],
    "goals": ["cost"],
}
ADAPTER: TypeAdapter[Any] = TypeAdapter(NewExperiment)


def errors(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(body)
    found = [_field_error({**error, "loc": ("body", *error["loc"])}) for error in caught.value.errors()]
    return [(one["field"], one["message"]) for one in found]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "key", "is missing"),
        (CANARY | {"key": "A B"}, "key", "must be of a-z, 0-9 and . _ -"),
        (CANARY | {"kind": "guess"}, "kind", "must be 'canary', 'ab_test', 'shadow' or 'blue_green'"),
        (CANARY | {"kind": None}, "kind", "must be 'canary', 'ab_test', 'shadow' or 'blue_green'"),
        (CANARY | {"kind": ["canary"]}, "kind", "must be 'canary', 'ab_test', 'shadow' or 'blue_green'"),
        (CANARY | {"policy": {"type": "guess"}}, "policy.type", "must be 'sequential' or 'threshold'"),
        (CANARY | {"policy": 1}, "policy", "must be a JSON object"),
        (CANARY | {"plan": {"steps": 0.5}}, "plan.steps", "must be a list"),
        (CANARY | {"plan": {"steps": ["x"]}}, "plan.steps[0]", "must be a number"),
        (CANARY | {"plan": {"step_minimum_units": 1.5}}, "plan.step_minimum_units", "must be a whole number"),
        (CANARY | {"on_blind": "x"}, "on_blind", "must be 'control' or 'hold'"),
        (CANARY | {"lease_limit_seconds": float("nan")}, "lease_limit_seconds", "neither infinite nor NaN"),
        (
            CANARY | {"goals": []},
            "goals",
            "unknown field; there are key, route, kind, treatment, plan, policy",
        ),
        (CANARY | {"policy": {"alpha": 1}}, "policy.alpha", "unknown field; there are type, alpha_rollback"),
        (TEST | {"goals": ["a", "a"]}, "goals", "names the same thing twice"),
        (TEST | {"goals": [str(n) for n in range(21)]}, "goals", "must have at most 20 items"),
        (TEST | {"covariate_header": ""}, "covariate_header", "must not be empty"),
        (TEST | {"covariate_header": "a b"}, "covariate_header", "must be the name of a header"),
        (TEST | {"treatment": "x"}, "treatment", "unknown field"),
        (TEST | {"key": 1}, "key", "must be a string"),
    ],
)
def test_a_mistake_is_a_sentence_about_a_field(body: Any, field: str, message: str) -> None:
    found = dict(errors(body))
    assert message in found[field]
    assert not any("Input should" in said for said in found.values())


def test_an_unknown_field_hides_no_other_mistake() -> None:
    policy = {"alpha": 1, "guardrails": [{"margn": 0.1, "metric": 5}], "alpha_promote": "x"}
    body = CANARY | {
        "key": "A B",
        "lease_limit_seconds": 1e12,
        "on_blind": "x",
        "goals": [],
        "policy": policy,
    }
    found = dict(errors(body))
    assert found["policy.guardrails[0].margn"] == "unknown field; there are metric, margin"
    assert found["policy.alpha"].startswith("unknown field; there are type, alpha_rollback")
    assert found["goals"].startswith("unknown field; there are key, route, kind, treatment")
    assert found["policy.guardrails[0].metric"].startswith("must be 'error_rate'")
    assert found["policy.alpha_promote"] == "must be a number"
    assert found["on_blind"] == "must be 'control' or 'hold'"
    assert found["key"].startswith("must be of a-z")
    assert found["lease_limit_seconds"].startswith("must be between -1,000,000,000 and")


def test_json_that_is_not_called_json_was_not_read() -> None:
    ((field, message),) = errors(b'{"key": "a"}')
    assert (field, "Content-Type: application/json" in message) == ("body", True)


@pytest.mark.parametrize("body", [[], 1, "x", None])
def test_a_body_that_is_no_object(body: Any) -> None:
    assert errors(body) == [("body", "must be a JSON object")]


@pytest.mark.parametrize(
    ("wanted", "value", "message"),
    [
        (Annotated[int, Field(le=7_776_000)], 34_560_000, "must be at most 7776000"),
        (Annotated[float, Field(ge=1e-6)], 1e-12, "must be at least 0.000001"),
        (Annotated[float, Field(gt=0)], 0, "must be above 0"),
        (Annotated[list[int], Field(min_length=1)], [], "must not be empty"),
        (Annotated[list[int], Field(min_length=2)], [], "must have at least 2 items"),
        (date, "2026-13-01", "must be a day such as 2026-11-20"),
        (date, "x", "must be a day such as 2026-11-20"),
        (date, "2026-11-20T12:00:00", "must be a day such as 2026-11-20"),
    ],
)
def test_bounds_and_days_are_spelled_as_callers_type_them(wanted: Any, value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(wanted).validate_python(value)
    assert [sentence(error) for error in caught.value.errors()] == [message]
