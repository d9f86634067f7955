"""Where a problem is, as callers read it."""

import pytest

from services.api.problems import dotted


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (("body",), "body"),
        (("body", "key"), "key"),
        (("body", "plan", "steps", 1), "plan.steps[1]"),
        (("body", "policy", "sequential", "guardrails", 0, "metric"), "policy.guardrails[0].metric"),
        (("query", "limit"), "limit"),
    ],
)
def test_a_location_is_a_dotted_path(location: tuple[str | int, ...], expected: str) -> None:
    assert dotted(location) == expected
