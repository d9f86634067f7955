"""`services/cli/files/planning.py` and `comparing.py`: what applying a document comes to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.files import definitions
from services.cli.files.comparing import unified
from services.cli.files.documents import Document, parse
from services.cli.files.planning import Step, step_for, wanted
from services.cli.files.yaml_writing import as_yaml

VARIANT = {"key": "new", "endpoints": ["openai"], "model": "m"}
SHOWN_VARIANT = VARIANT | {"system_prompt": None, "parameters": {}, "selection": "weighted", "new_field": 1}
CANARY = {"key": "canary", "route": "chat", "kind": "canary", "treatment": "new"}
ROUTE = {"key": "chat", "stable": "old"}
SHOWN_ROUTE: dict[str, Any] = {"key": "chat", "unit_fallback": "request", "allocation": {"stable": "old"}}


def document(kind: str, body: Any, **beside: Any) -> Document:
    (one,), faults = parse("f.yaml", as_yaml({kind: body, **beside}))
    assert not faults
    return one


def shown(status: str = "draft", conclusion: str | None = None, **definition: Any) -> dict[str, Any]:
    """An experiment as the api shows it."""
    return {
        "key": "canary",
        "route": "chat",
        "kind": "canary",
        "status": status,
        "conclusion": conclusion,
        "definition": {"treatment": "new", "metrics": [], **definition},
    }


@pytest.mark.parametrize(
    ("kind", "body", "live", "step"),
    [
        ("variant", VARIANT, None, Step("create")),
        ("variant", VARIANT, SHOWN_VARIANT, Step("keep")),
        ("variant", VARIANT, SHOWN_VARIANT | {"model": "n"}, Step("replace", note="model changed")),
        ("route", ROUTE, SHOWN_ROUTE, Step("keep")),
        (
            "route",
            ROUTE,
            SHOWN_ROUTE | {"allocation": {"stable": "new"}},
            Step("keep", note="new is stable by now"),
        ),
        ("experiment", CANARY, shown("running"), Step("keep")),
    ],
)
def test_a_step_for_what_is_there(kind: str, body: Any, live: Any, step: Step) -> None:
    assert step_for(document(kind, body), live) == step


@pytest.mark.parametrize(
    ("live", "step"),
    [
        (None, Step("create", start=True)),
        (shown(), Step("keep", start=True)),
        (shown("running"), Step("keep", note="it is running")),
        (shown("paused"), Step("keep", note="it is paused")),
        (shown("stopped", "rolled_back"), Step("keep", note="it is rolled_back")),
    ],
)
def test_only_a_draft_is_started(live: Any, step: Step) -> None:
    assert step_for(document("experiment", CANARY, start=True), live) == step


def test_what_the_api_cannot_replace_is_refused_with_the_field() -> None:
    changed = shown("running", lease_limit_seconds=5.0, on_blind="hold")
    step = step_for(document("experiment", CANARY, start=True), changed)
    assert (step.action, step.start, step.field) == ("refuse", False, "on_blind")
    assert "(on_blind, lease_limit_seconds differ)" in step.note
    other = step_for(document("route", ROUTE | {"unit_fallback": "reject"}), SHOWN_ROUTE)
    assert (other.action, other.field) == ("refuse", "unit_fallback")


def test_of_a_route_only_the_settings_that_differ_are_replaced() -> None:
    recorded = step_for(document("route", ROUTE | {"record_content": True}), SHOWN_ROUTE)
    assert recorded == Step("replace", note="record_content changed", settings=("recording",))
    limits = {"limits": {"concurrency": 9}, "record_content": True}
    both = step_for(document("route", ROUTE | limits), SHOWN_ROUTE)
    assert (both.action, both.settings) == ("replace", ("limits", "recording"))
    more = step_for(document("route", ROUTE | limits | {"unit_fallback": "reject"}), SHOWN_ROUTE)
    assert (more.action, more.field) == ("refuse", "unit_fallback")


LIMITED_ROUTE = SHOWN_ROUTE | {
    "limits": {"concurrency": 9},
    "unit_limits": {"requests_per_minute": 30},
    "record_content": True,
}


def test_what_a_route_leaves_out_stays_and_null_removes() -> None:
    assert step_for(document("route", ROUTE), LIMITED_ROUTE) == Step("keep")
    assert unified(document("route", ROUTE), LIMITED_ROUTE) == ""
    without = document("route", ROUTE | {"limits": None, "record_content": None})
    step = step_for(without, LIMITED_ROUTE)
    assert (step.action, step.settings) == ("replace", ("limits", "recording"))
    body = definitions.whole("route", wanted(without, LIMITED_ROUTE))
    assert (body["limits"], body["record_content"]) == (None, False)
    assert body["unit_limits"]["requests_per_minute"] == 30
    removed = [line for line in unified(without, LIMITED_ROUTE).splitlines()[2:] if line[0] in "+-"]
    assert removed == ["-  limits:", "-    concurrency: 9", "-  record_content: true"]
    assert step_for(without, SHOWN_ROUTE) == Step("keep")


def test_a_draft_is_replaced_and_then_started_where_that_is_asked_for() -> None:
    changed = shown(on_blind="hold")
    note = "on_blind changed"
    assert step_for(document("experiment", CANARY), changed) == Step("replace", note=note)
    starting = step_for(document("experiment", CANARY, start=True), changed)
    assert starting == Step("replace", start=True, note=note)
    elsewhere = step_for(document("experiment", CANARY | {"route": "other"}), changed)
    assert (elsewhere.action, elsewhere.field) == ("refuse", "route")
    assert "canary is on chat already" in elsewhere.note


def test_another_kind_under_the_same_key_is_refused() -> None:
    test = {
        "key": "canary",
        "route": "chat",
        "kind": "ab_test",
        "goals": ["cost"],
        "variants": [{"key": "new"}],
    }
    step = step_for(document("experiment", test), shown())
    assert step.action == "refuse"
    assert "canary is canary already" in step.note


def test_a_diff_is_from_what_is_there_to_what_the_file_says() -> None:
    difference = unified(document("variant", VARIANT), SHOWN_VARIANT | {"model": "n"})
    assert difference.splitlines()[:2] == ["--- live/variant/new", "+++ f.yaml:1"]
    assert "-  model: n\n+  model: m\n" in difference
    created = unified(document("variant", VARIANT), None)
    assert created.startswith("--- /dev/null\n")
    assert all(line.startswith("+") for line in created.splitlines()[3:])


def test_a_diff_says_nothing_of_a_routes_stable_variant() -> None:
    live = SHOWN_ROUTE | {"allocation": {"stable": "new"}, "unit_fallback": "reject"}
    difference = unified(document("route", ROUTE), live)
    assert "-  unit_fallback: reject\n" in difference
    assert "stable: new" not in difference


MODELS = st.sampled_from([None, "m", "n"])
PARAMETERS = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([0, 1, 1.0, True, "x", None]))


@given(MODELS, PARAMETERS, MODELS, PARAMETERS)
def test_there_is_a_diff_exactly_where_something_would_be_done(
    model: str | None, parameters: Any, live_model: str | None, live_parameters: Any
) -> None:
    one = document("variant", VARIANT | {"model": model, "parameters": parameters})
    live = SHOWN_VARIANT | {"model": live_model, "parameters": live_parameters}
    assert (step_for(one, live).action == "keep") is (unified(one, live) == "")
