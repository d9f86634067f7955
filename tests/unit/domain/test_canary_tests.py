"""A canary is decided by two tests at half the budget each: one that is convinced is enough."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import BucketTable
from services.domain.canary import CanaryDefinition, CanaryPlan, Guardrail, SequentialPolicy
from services.domain.canary_tests import TESTED_COLUMNS, StepBuckets
from services.domain.counts import CountRow, CountTable
from services.domain.evaluation import Evaluation, EvaluationInputs, evaluate, inputs_from
from services.domain.events import Role
from services.domain.memory import Memory
from services.domain.policy import Act, Hold

START = 29_000_000
LATENCY = CanaryDefinition(
    treatment="next",
    plan=CanaryPlan(steps=(0.5,)),
    policy=SequentialPolicy(guardrails=(Guardrail("latency"),)),
)


def buckets(
    seed: int, requests: int, *, error: float = 0.05, slower: float = 1.0, units: int = 60
) -> BucketTable:
    """A few busy units, each in a bucket of its own."""
    random = np.random.default_rng(seed)
    sums = np.zeros((len(TESTED_COLUMNS), 2, ANALYSIS_BUCKETS), np.int64)
    where = random.choice(ANALYSIS_BUCKETS, units, replace=False)
    sums[:, 0, where] = requests // units
    sums[0, 1, where] = random.binomial(requests // units, error, units)
    logs = random.normal(np.log(slower), 0.5, (units, requests // units)).sum(axis=1)
    sums[1, 1, where] = (1e6 * logs).astype(np.int64)
    return BucketTable(TESTED_COLUMNS, sums)


def row(role: Role, requests: int, **more: Any) -> CountRow:
    """A minute in which few units asked a lot."""
    values: dict[str, Any] = {
        "tick": START,
        "treatment_share_bp": 5_000,
        "errors": 0,
        "first_errors": 0,
        "content_filters": 0,
        "first_content_filters": 0,
        "first_requests": 60,
        "first_request_errors": 3,
    }
    return CountRow(role=role, requests=requests, **{**values, **more})


def judged(*steps: StepBuckets, counts: tuple[CountRow, ...] = (), **more: Any) -> Evaluation:
    values: dict[str, Any] = {
        "definition": CanaryDefinition(
            treatment="next", plan=CanaryPlan(steps=(0.5,), step_minimum_units=10)
        ),
        "step": 0,
        "share_bp": 5_000,
        "first_tick": START,
        "now_tick": START,
        "minutes_running": 6.0,
        "seconds_in_step": 400.0,
        "evidence_age_seconds": 0.2,
    }
    table = CountTable.of(counts or (row(Role.CONTROL, 12_000), row(Role.TREATMENT, 12_000)))
    return evaluate(EvaluationInputs(counts=table, buckets=steps, **{**values, **more}))


def step(share_bp: int = 5_000, requests: int = 12_000, **treatment: float) -> StepBuckets:
    return StepBuckets(share_bp, buckets(1, requests), buckets(2, requests, **treatment))


def test_few_busy_units_are_promoted_by_all_their_requests() -> None:
    """60 units say too little by their first requests; their 12,000 requests say enough."""
    alone = judged()
    assert isinstance(alone.judgement, Hold)
    assert alone.judgement.rule == "hold_for_promotion_evidence"
    both = judged(step())
    assert isinstance(both.judgement, Act)
    assert both.judgement.action == "promote"
    assert both.figures["e_value"] < both.figures["threshold"] == 40
    assert both.figures["robust_upper"] < 0.02


def test_a_worse_treatment_is_promoted_by_neither() -> None:
    assert judged(step(error=0.09)).situation.promotion.verdict == "inconclusive"


def test_slow_answers_of_few_busy_units_fail_the_guardrail() -> None:
    verdict = judged(step(slower=1.6), definition=LATENCY).situation.guardrails[0]
    assert (verdict.metric, verdict.verdict) == ("latency", "fail")
    assert verdict.figures["log_ratio_lower"] > 0
    assert judged(step(), definition=LATENCY).situation.guardrails[0].verdict == "pass"


def test_slow_first_requests_fail_the_guardrail_without_any_sums() -> None:
    """Half of the treatment's first requests are slower than 99 % of the control's."""
    counts = (
        row(Role.CONTROL, 1_000, latency_below_p50=500, latency_p50_to_p75=250, latency_p75_to_p90=250),
        row(Role.TREATMENT, 1_000, latency_below_p50=20, latency_above_p99=20),
    )
    evaluation = judged(counts=counts, definition=LATENCY)
    assert isinstance(evaluation.judgement, Act)
    assert evaluation.judgement.rule == "roll_back_on_guardrail"
    # One guardrail at .01, two tests: the exact one has .005.
    assert evaluation.figures["threshold"] == 200


def test_without_latencies_the_guardrail_has_no_data_and_holds() -> None:
    evaluation = judged(definition=LATENCY)
    assert evaluation.situation.guardrails[0].verdict == "no_data"
    assert isinstance(evaluation.judgement, Hold)
    assert evaluation.judgement.rule == "hold_without_data"


def test_an_outage_at_the_last_step_of_a_ramp_does_not_blame_the_treatment() -> None:
    """The naive way that fails: sums over the whole ramp; the treatment's are mostly from its end."""
    quiet = StepBuckets(500, buckets(1, 60_000, error=0.02), buckets(2, 3_000, error=0.02))
    outage = StepBuckets(5_000, buckets(3, 30_000, error=0.5), buckets(4, 30_000, error=0.5))
    apart = judged(quiet, outage).situation.promotion
    assert abs(apart.figures["robust_difference"]) < 0.05
    mixed = StepBuckets(5_000, quiet.control + outage.control, quiet.treatment + outage.treatment)
    assert judged(mixed).situation.promotion.figures["robust_difference"] > 0.2


def test_a_stored_decision_with_sums_recomputes_to_the_bit() -> None:
    evaluation = judged(step(), step(1_000, 6_000, slower=1.2), definition=LATENCY)
    stored = json.loads(json.dumps(evaluation.inputs_body(), allow_nan=False))
    again = evaluate(inputs_from(stored))
    assert (again.verdicts, again.judgement) == (evaluation.verdicts, evaluation.judgement)


def test_inputs_of_the_first_method_still_come_to_the_same() -> None:
    """As canary/1 stored them: rows of ten numbers, and no sums by analysis bucket."""
    evaluation = judged(counts=(row(Role.CONTROL, 900), row(Role.TREATMENT, 100, errors=40, first_errors=40)))
    body = evaluation.inputs_body()
    del body["buckets"]
    body["counts"] = [counts[:10] for counts in body["counts"]]
    again = evaluate(inputs_from(json.loads(json.dumps(body))))
    assert (again.verdicts, again.judgement) == (evaluation.verdicts, evaluation.judgement)
    assert isinstance(again.judgement, Act)
    assert again.judgement.action == "rollback"


def test_a_memory_of_closed_minutes_changes_no_bit() -> None:
    """The minutes come one after the other, and the open one is looked at twice."""
    memory, policy = Memory(), SequentialPolicy(guardrails=(Guardrail(), Guardrail("latency")))
    counts: list[CountRow] = []
    random = np.random.default_rng(8)
    for minute in range(12):
        for role in Role:
            errors = int(random.binomial(100, 0.1))
            more = {"errors": errors, "first_errors": errors, "latency_above_p99": int(random.poisson(5))}
            counts.append(row(role, 200, tick=START + minute, **more))
            given_now = judged(counts=tuple(counts)).inputs
            given_now = msgspec.structs.replace(
                given_now, definition=CanaryDefinition(treatment="next", policy=policy)
            )
            assert evaluate(given_now, memory).verdicts == evaluate(given_now).verdicts
