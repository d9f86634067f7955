"""From counts to a judgement: what is tested, what is only shown, and which rule speaks."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.columns import Columns
from services.domain.canary import (
    CanaryDefinition,
    CanaryPlan,
    Guardrail,
    KillSwitch,
    SequentialPolicy,
    ThresholdPolicy,
)
from services.domain.counts import CountRow, CountTable, event_columns, first_errors, first_requests
from services.domain.evaluation import Evaluation, EvaluationInputs, evaluate, inputs_from
from services.domain.events import Role
from services.domain.policy import Act, Hold, Verdict

START = 29_000_000


def row(role: Role, requests: int, errors: int = 0, **more: int) -> CountRow:
    """A minute in which every unit asked once, unless said otherwise."""
    values: dict[str, Any] = {
        "tick": START,
        "treatment_share_bp": 1_000,
        "requests": requests,
        "errors": errors,
        "first_errors": errors,
        "content_filters": 0,
        "first_content_filters": 0,
        "first_requests": requests,
        "first_request_errors": errors,
    }
    return CountRow(role=role, **{**values, **more})


def judged(*counts: CountRow, **more: Any) -> Evaluation:
    values: dict[str, Any] = {
        "definition": CanaryDefinition(treatment="next", plan=CanaryPlan(steps=(0.1, 0.5))),
        "step": 0,
        "share_bp": 1_000,
        "first_tick": START,
        "now_tick": START,
        "minutes_running": 6.0,
        "seconds_in_step": 400.0,
        "evidence_age_seconds": 0.2,
    }
    return evaluate(EvaluationInputs(counts=CountTable.of(counts), **{**values, **more}))


def test_without_outcomes_it_holds_and_says_that_there_is_no_data() -> None:
    judgement = judged().judgement
    assert isinstance(judgement, Hold)
    assert judgement.rule == "hold_without_data"


def test_control_traffic_alone_is_no_data_either() -> None:
    judgement = judged(row(Role.CONTROL, 10_000, 100)).judgement
    assert isinstance(judgement, Hold)
    assert judgement.rule == "hold_without_data"


def test_a_treatment_that_fails_more_is_rolled_back() -> None:
    evaluation = judged(row(Role.CONTROL, 900, 9), row(Role.TREATMENT, 100, 30))
    assert isinstance(evaluation.judgement, Act)
    assert (evaluation.judgement.action, evaluation.judgement.rule) == ("rollback", "roll_back_on_guardrail")
    assert evaluation.figures["e_value"] >= evaluation.figures["threshold"] == 100


def test_errors_of_one_unit_are_one_observation() -> None:
    """Naive counting would roll back: 40 errors in 100 requests. It was one unit, retrying."""
    counts = (row(Role.CONTROL, 900, 9), row(Role.TREATMENT, 100, 40, first_errors=1, first_requests=61))
    assert not isinstance(judged(*counts).judgement, Act) or judged(*counts).judgement.action != "rollback"  # type: ignore[union-attr]
    table = CountTable.of(counts)
    columns = event_columns(table, table.shares, *first_errors(table))
    assert isinstance(columns, Columns)
    assert columns.totals == (1, 9, 60 + 891)


def test_promotion_tests_first_requests_and_nothing_else() -> None:
    counts = (row(Role.TREATMENT, 1_000, 50, first_requests=100, first_request_errors=3),)
    table = CountTable.of(counts)
    columns = event_columns(table, table.shares, *first_requests(table))
    assert isinstance(columns, Columns)
    assert columns.totals == (3, 0, 97)


def test_a_harmless_treatment_advances_and_is_promoted_at_the_last_step() -> None:
    counts = (row(Role.CONTROL, 9_000, 90), row(Role.TREATMENT, 1_000, 10))
    first = judged(*counts).judgement
    assert isinstance(first, Act)
    assert (first.action, first.next_share_bp, first.next_step) == ("advance", 5_000, 1)
    last = judged(*counts, step=1, share_bp=1_000).judgement
    assert isinstance(last, Act)
    assert last.action == "promote"


def test_both_down_freezes_the_ramp() -> None:
    judgement = judged(
        row(Role.CONTROL, 900, 800, first_errors=1), row(Role.TREATMENT, 100, 90, first_errors=1)
    ).judgement
    assert isinstance(judgement, Hold)
    assert judgement.rule == "freeze_when_both_are_down"


def test_the_kill_switch_pulls_a_treatment_that_is_down_alone() -> None:
    """All failures are one unit's, so the evidence cannot see them; the outage is seen all the same."""
    judgement = judged(row(Role.CONTROL, 900), row(Role.TREATMENT, 100, 90, first_errors=1)).judgement
    assert isinstance(judgement, Act)
    assert judgement.rule == "roll_back_on_kill_switch"


def test_the_kill_switch_looks_at_the_last_minute_only() -> None:
    judgement = judged(
        row(Role.CONTROL, 900), row(Role.TREATMENT, 100, 90, first_errors=1), now_tick=START + 5
    ).judgement
    assert isinstance(judgement, Hold | Act)
    assert judgement.rule != "roll_back_on_kill_switch"


def test_content_filters_are_a_guardrail_of_their_own() -> None:
    policy = SequentialPolicy(guardrails=(Guardrail(), Guardrail(metric="content_filter_rate")))
    judgement = judged(
        row(Role.CONTROL, 900),
        row(Role.TREATMENT, 100, content_filters=40, first_content_filters=40),
        definition=CanaryDefinition(treatment="next", policy=policy),
    ).judgement
    assert isinstance(judgement, Act)
    assert judgement.reason.startswith("content_filter_rate")


def test_each_of_two_guardrails_has_half_of_the_error_budget() -> None:
    policy = SequentialPolicy(guardrails=(Guardrail(), Guardrail(metric="content_filter_rate")))
    evaluation = judged(
        row(Role.CONTROL, 90), row(Role.TREATMENT, 10), definition=CanaryDefinition("next", policy=policy)
    )
    assert [verdict.figures["threshold"] for verdict in evaluation.situation.guardrails] == [200, 200]


THRESHOLD = CanaryDefinition(
    treatment="next", policy=ThresholdPolicy(), kill_switch=KillSwitch(error_rate=0.99)
)


@pytest.mark.parametrize(("errors", "action"), [(15, "advance"), (16, "rollback")])
def test_the_windowed_rule_is_strictly_greater(errors: int, action: str) -> None:
    """10 % on the control: 15 of 100 is the margin itself and still accepted."""
    judgement = judged(
        row(Role.CONTROL, 900, 90), row(Role.TREATMENT, 100, errors), definition=THRESHOLD
    ).judgement
    assert isinstance(judgement, Act)
    assert judgement.action == action


def test_the_windowed_rule_keeps_its_last_verdict_until_its_next_look() -> None:
    before = Verdict("error_rate", "pass", "as of the last look")
    evaluation = judged(
        row(Role.CONTROL, 900, 9), row(Role.TREATMENT, 100, 90), definition=THRESHOLD, window_verdict=before
    )
    assert evaluation.situation.guardrails == (before,)


def test_the_windowed_rule_needs_a_minimum_of_requests() -> None:
    judgement = judged(row(Role.CONTROL, 900), row(Role.TREATMENT, 19, 9), definition=THRESHOLD).judgement
    assert isinstance(judgement, Hold)
    assert judgement.rule == "hold_without_data"


counts_of_a_minute = st.builds(
    lambda tick, share, role, n, errors, firsts: row(
        role,
        n,
        min(errors, n),
        tick=START + tick,
        treatment_share_bp=share,
        first_errors=min(errors, firsts, n),
        first_requests=min(firsts, n),
        first_request_errors=min(errors, firsts, n),
    ),
    st.integers(0, 30),
    st.sampled_from([500, 1_000, 5_000]),
    st.sampled_from(list(Role)),
    *[st.integers(0, 300)] * 3,
)


@given(st.lists(counts_of_a_minute, max_size=30), st.randoms())
def test_a_stored_decision_recomputes_to_the_bit_whatever_the_order_of_rows(
    counts: list[CountRow], shuffler: Any
) -> None:
    evaluation = judged(*counts)
    stored = json.loads(msgspec.json.encode(evaluation.inputs_body()))
    replayed = evaluate(inputs_from(stored))
    assert (replayed.judgement, replayed.verdicts) == (evaluation.judgement, evaluation.verdicts)
    shuffled = list(counts)
    shuffler.shuffle(shuffled)
    assert judged(*shuffled).verdicts == evaluation.verdicts


@given(st.lists(counts_of_a_minute, max_size=10))
def test_the_body_is_json(counts: list[CountRow]) -> None:
    assert json.loads(json.dumps(judged(*counts).body(), allow_nan=False))
