"""From sums to a judgement about an A/B test: what stops it, what promotes, what it waits for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.ab_evaluation import ABTestEvaluation, _p_text, _seen, evaluate_test
from services.domain.ab_findings import Finding
from services.domain.ab_inputs import ABTestInputs, ab_inputs_from
from services.domain.ab_test import TestGuardrail, WeightedVariant
from services.domain.bucket_table import BucketTable
from services.domain.counts import Count, CountTable
from services.domain.memory import Memory
from services.domain.metric import BUILT_IN, Metric
from services.domain.policy import Act, Hold, Verdict
from tests.unit.domain.sums import METRICS, START, Variant, definition, inputs, two

PROMOTING = definition(on_winner="promote")


def verdict(evaluation: ABTestEvaluation, metric: str, variant: str = "b") -> Verdict:
    (found,) = [one for one in evaluation.verdicts if (one.metric, one.variant) == (metric, variant)]
    return found


def held(evaluation: ABTestEvaluation) -> str:
    assert isinstance(evaluation.judgement, Hold)
    return evaluation.judgement.rule


def acted(evaluation: ABTestEvaluation) -> Act:
    assert isinstance(evaluation.judgement, Act)
    return evaluation.judgement


def test_without_outcomes_it_holds_and_says_that_there_is_no_data() -> None:
    empty = [Variant(np.random.default_rng(1), 0)] * 2
    evaluation = evaluate_test(inputs(empty))
    assert held(evaluation) == "hold_without_data"
    assert {one.verdict for one in evaluation.verdicts} == {"no_data"}


def test_equal_variants_are_waited_for() -> None:
    evaluation = evaluate_test(inputs(two(), defined=PROMOTING))
    assert held(evaluation) == "hold_for_evidence"
    assert verdict(evaluation, "cost").verdict == "inconclusive"


def test_a_cheaper_treatment_wins_and_is_promoted_where_the_test_says_so() -> None:
    sums = two(cost=0.8)
    act = acted(evaluate_test(inputs(sums, defined=PROMOTING)))
    assert (act.action, act.rule, act.variant_key) == ("promote", "promote_winner", "b")
    assert act.reason.startswith("cost of b is better")
    assert held(evaluate_test(inputs(sums))) == "hold_for_a_person"


def test_a_goal_that_becomes_worse_keeps_a_winner_from_being_promoted() -> None:
    evaluation = evaluate_test(inputs(two(cost=0.8, conversion=0.1), defined=PROMOTING))
    assert verdict(evaluation, "cost").verdict == "pass"
    assert verdict(evaluation, "conversion").verdict == "fail"
    assert held(evaluation) == "hold_for_evidence"


def test_of_two_winners_the_better_by_the_first_goal_is_promoted() -> None:
    random = np.random.default_rng(5)
    variants = [Variant(random, 2_000), Variant(random, 2_000, cost=0.8), Variant(random, 2_000, cost=0.7)]
    test = definition(weights=(0.4, 0.3, 0.3), on_winner="promote")
    even = inputs(variants, defined=test, weights_bp=(3_334, 3_333, 3_333))
    evaluation = evaluate_test(even)
    assert acted(evaluation).variant_key == "c"
    # The figures of the decision are those of the variant it promotes.
    (goal,) = [one for one in evaluation.situation.goals if (one.metric, one.variant) == ("cost", "c")]
    assert evaluation.figures == goal.figures
    assert f"{goal.figures['difference']:+.4g}" in acted(evaluation).reason


def test_every_goal_and_treatment_is_corrected_for() -> None:
    """Holm: the corrected p-value of the strongest of four findings is four times its own."""
    random = np.random.default_rng(6)
    variants = [Variant(random, 2_000), Variant(random, 2_000, cost=0.93), Variant(random, 2_000)]
    test = definition(weights=(0.4, 0.3, 0.3))
    evaluation = evaluate_test(inputs(variants, defined=test, weights_bp=(3_334, 3_333, 3_333)))
    figures = [one.figures for one in evaluation.situation.goals]
    strongest = min(figures, key=lambda one: one["p_value"])
    assert strongest["adjusted_p_value"] == pytest.approx(min(1.0, 4 * strongest["p_value"]))


def test_errors_of_any_treatment_roll_back() -> None:
    random = np.random.default_rng(2)
    variants = [Variant(random, 2_000), Variant(random, 2_000), Variant(random, 2_000, error=0.1)]
    test = definition(weights=(0.4, 0.3, 0.3), on_winner="promote")
    evaluation = evaluate_test(inputs(variants, defined=test, weights_bp=(3_334, 3_333, 3_333)))
    act = acted(evaluation)
    assert (act.action, act.rule, act.variant_key) == ("rollback", "roll_back_on_guardrail", None)
    assert verdict(evaluation, "error_rate", "b").verdict == "pass"
    # One guardrail of two treatments: each has half of the error budget.
    assert verdict(evaluation, "error_rate", "c").figures["threshold"] == pytest.approx(200)
    assert evaluation.figures["e_value"] >= 200


def test_a_guardrail_that_has_nothing_to_say_yet_keeps_a_winner_from_being_promoted() -> None:
    """Of failures per request a control without any says nothing: they do not vary."""
    failures = Metric(key="failures", source="error", kind="ratio", denominator="requests")
    test = definition(
        goals=("cost",),
        guardrails=(TestGuardrail("failures", margin=0.05),),
        metrics=(*METRICS, failures),
        on_winner="promote",
    )
    random = np.random.default_rng(8)
    variants = [Variant(random, 1_500, error=0.0), Variant(random, 1_500, error=0.4, cost=0.7)]
    evaluation = evaluate_test(inputs(variants, defined=test))
    assert verdict(evaluation, "cost").verdict == "pass"
    assert verdict(evaluation, "failures").verdict == "no_data"
    assert held(evaluation) == "hold_while_in_doubt"
    assert isinstance(evaluation.judgement, Hold)
    assert "no two samples differ" in evaluation.judgement.reason


def test_a_guardrail_waits_until_its_variances_are_known() -> None:
    """Eighty units fill as many buckets, but one bucket weighs more than the others together."""
    test = definition(goals=("cost",), guardrails=(TestGuardrail("conversion"),))
    random = np.random.default_rng(9)
    crowd = inputs([Variant(random, 80, conversion=0.5), Variant(random, 80, conversion=0.3)], defined=test)
    heavy = [with_a_heavy_bucket(table) for table in crowd.buckets]
    evaluation = evaluate_test(msgspec.structs.replace(crowd, buckets=tuple(heavy)))
    found = verdict(evaluation, "conversion")
    assert found.verdict == "no_data"
    assert "too few units so far" in found.sentence


def with_a_heavy_bucket(table: BucketTable) -> BucketTable:
    """All of a bucket's sums a hundredfold."""
    sums = table.sums.copy()
    sums[..., table.n("units").nonzero()[0][0]] *= 100
    return BucketTable(table.columns, sums)


def test_a_guardrail_on_any_metric_is_tested_over_all_requests() -> None:
    test = definition(secondary=(), guardrails=(TestGuardrail("latency_mean", margin=0.05),))
    slower = evaluate_test(inputs(two(slower=1.3), defined=test))
    assert acted(slower).rule == "roll_back_on_guardrail"
    found = verdict(slower, "latency_mean")
    assert found.figures["least_harm"] > 0.05
    same = evaluate_test(inputs(two(slower=1.0), defined=test))
    assert verdict(same, "latency_mean").verdict == "pass"


def test_shares_of_few_units_are_not_compared() -> None:
    """With three conversions a normal approximation tells equal variants apart far too often."""
    few = evaluate_test(
        inputs(two(conversion=0.001), defined=definition(guardrails=(TestGuardrail("conversion"),)))
    )
    assert "analysis buckets, 5 needed" in few.situation.goals[1].sentence
    assert {few.situation.goals[1].verdict, few.situation.guardrails[0].verdict} == {"no_data"}


def test_a_guardrail_whose_metric_should_be_high_fails_when_it_falls() -> None:
    test = definition(goals=("cost",), guardrails=(TestGuardrail("conversion"),))
    assert acted(evaluate_test(inputs(two(conversion=0.1), defined=test))).rule == "roll_back_on_guardrail"
    rising = evaluate_test(inputs(two(conversion=0.4), defined=test))
    assert verdict(rising, "conversion").verdict == "pass"


def at_last(given_inputs: ABTestInputs, index: int, requests: int, errors: int) -> ABTestInputs:
    """The same, with a last minute in which a variant had so many requests and errors of one unit."""
    rows = given_inputs.counts.to_lists()
    last = [0] * len(rows[0])
    last[Count.TICK], last[Count.SHARE_BP], last[Count.ROLE] = START + 60, 5_000, int(index > 0)
    last[Count.VARIANT], last[Count.REQUESTS], last[Count.ERRORS] = index, requests, errors
    table = CountTable.from_lists([*rows, last])
    return msgspec.structs.replace(given_inputs, counts=table, now_tick=START + 60)


def test_the_kill_switch_pulls_a_treatment_that_is_down_alone() -> None:
    """All failures are those of units that failed before: no test sees them."""
    down = at_last(inputs(two()), 1, 200, 190)
    assert acted(evaluate_test(down)).rule == "roll_back_on_kill_switch"
    both = at_last(down, 0, 200, 190)
    assert held(evaluate_test(both)) == "freeze_when_all_are_down"


def test_units_that_do_not_arrive_as_assigned_promote_nothing() -> None:
    random = np.random.default_rng(3)
    crooked = [Variant(random, 3_000), Variant(random, 2_000, cost=0.7)]
    evaluation = evaluate_test(inputs(crooked, defined=PROMOTING))
    assert held(evaluation) == "hold_on_sample_ratio_mismatch"
    straight = evaluate_test(inputs(crooked, defined=PROMOTING, weights_bp=(6_000, 4_000)))
    assert acted(straight).rule == "promote_winner"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"evidence_age_seconds": 6.0}, "hold_on_stale_evidence"),
        ({"defined": definition(on_winner="promote", minimum_units=5_000)}, "hold_for_minimum_units"),
        ({"minutes_running": 1_000.0}, "promote_winner"),
    ],
)
def test_what_a_winner_waits_for(change: dict[str, Any], rule: str) -> None:
    judgement = evaluate_test(inputs(two(cost=0.8), **{"defined": PROMOTING, **change})).judgement
    assert isinstance(judgement, Act | Hold)
    assert judgement.rule == rule


def test_at_the_planned_end_it_says_that_it_is_over() -> None:
    assert held(evaluate_test(inputs(two(), minutes_running=1_000.0))) == "hold_at_planned_end"


def test_a_goal_may_be_a_quantile() -> None:
    test = definition(goals=("latency_p95",), secondary=(), on_winner="promote")
    act = acted(evaluate_test(inputs(two(slower=0.6), defined=test)))
    assert act.reason.startswith("latency_p95 of b is better")
    same = verdict(evaluate_test(inputs(two(), defined=test)), "latency_p95")
    assert same.verdict == "inconclusive"
    assert same.figures["adjusted_p_value"] > test.alpha


def test_a_covariate_decides_where_the_test_has_one() -> None:
    plain = definition(goals=("requests_per_unit",), secondary=())
    after = msgspec.structs.replace(plain, covariate_header="x-before")
    widths = []
    for test in (plain, after):
        found = verdict(evaluate_test(inputs(two(), defined=test)), "requests_per_unit").figures
        widths.append(found["upper"] - found["lower"])
    assert widths[1] < widths[0] / 2


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.8, 1.0]),
    st.sampled_from([0.01, 0.1]),
    st.integers(0, 400),
)
def test_a_stored_decision_recomputes_to_the_bit(seed: int, cost: float, error: float, units: int) -> None:
    evaluation = evaluate_test(inputs(two(seed, units, cost=cost, error=error), defined=PROMOTING))
    stored = json.loads(json.dumps(evaluation.inputs_body(), allow_nan=False))
    again = evaluate_test(ab_inputs_from(stored))
    assert again.judgement == evaluation.judgement
    assert again.verdicts == evaluation.verdicts
    assert json.dumps(again.evidence()) == json.dumps(evaluation.evidence())


def test_the_stored_inputs_hold_what_decides_and_no_more() -> None:
    test = definition(variants=(WeightedVariant("a", 0.5), WeightedVariant("b", 0.5)), goals=("cost",))
    body = evaluate_test(inputs(two(units=200), defined=test)).inputs_body()
    stored = ab_inputs_from(body)
    assert set(stored.buckets[0].columns) <= set(inputs(two(units=200)).buckets[0].columns)
    assert stored.sketches[0].by_source.keys() == {"latency"}


def test_a_memory_of_closed_minutes_changes_no_bit() -> None:
    memory, whole = Memory(), inputs(two(error=0.03))
    rows = whole.counts.to_lists()
    for minute in range(1, 31, 3):
        counted = CountTable.from_lists([row for row in rows if row[Count.TICK] < START + minute])
        given_now = msgspec.structs.replace(whole, counts=counted)
        assert evaluate_test(given_now, memory).verdicts == evaluate_test(given_now).verdicts


def test_effects_and_p_values_read_as_people_say_them() -> None:
    share = Finding(BUILT_IN["error_rate"], 1, 0.1244, 0.1, 0.15, 4.2e-12, 100.0)
    assert _seen(share) == "+12.44 points [+10, +15]"
    cost = Finding(BUILT_IN["cost"], 1, -0.5, -1.0, 0.25, 0.03, 100.0)
    assert _seen(cost) == "-0.5 USD [-1, +0.25]"
    assert (_p_text(4.2e-12), _p_text(0.031)) == ("p < 1e-11", "p = 0.031")
