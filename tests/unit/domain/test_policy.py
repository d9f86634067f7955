"""Each rule of a canary's policy speaks when it should and is silent when it should not, in their order."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain import policy
from services.domain.canary import CanaryPlan
from services.domain.policy import (
    CANARY_RULES,
    Act,
    Hold,
    Judgement,
    Rule,
    Situation,
    Verdict,
    VerdictName,
    judge,
    restrained,
)

PLAN = CanaryPlan(
    steps=(0.05, 0.25, 0.5),
    step_minimum_seconds=60,
    step_minimum_units=100,
    planned_duration_minutes=30,
)


def verdict(name: VerdictName, metric: str = "error_rate", **figures: float) -> Verdict:
    return Verdict(metric, name, f"{metric}: {name}", figures)


READY = Situation(
    plan=PLAN,
    step=0,
    share_bp=500,
    guardrails=(verdict("pass"),),
    promotion=verdict("inconclusive", "promotion", e_value=3.0, threshold=20.0),
    health="fine",
    health_sentence="both serve",
    units_in_step=100,
    seconds_in_step=60,
    minutes_running=10,
    evidence_age_seconds=1,
)
"""A situation in which nothing stands in the way of the next step."""
LAST = replace(READY, step=2, share_bp=5_000)
"""The same at the last step."""


@pytest.mark.parametrize(
    ("rule", "speaks", "silent"),
    [
        (policy.roll_back_on_guardrail, {"guardrails": (verdict("pass"), verdict("fail"))}, {}),
        (policy.roll_back_on_kill_switch, {"health": "treatment_down"}, {"health": "both_down"}),
        (policy.freeze_when_both_are_down, {"health": "both_down"}, {"health": "treatment_down"}),
        (policy.decide_at_deadline, {"minutes_running": 30}, {"minutes_running": 29.9}),
        (policy.hold_without_data, {"guardrails": (verdict("pass"), verdict("no_data"))}, {}),
        (policy.hold_on_stale_evidence, {"evidence_age_seconds": 5.1}, {"evidence_age_seconds": 5.0}),
        (policy.hold_while_in_doubt, {"guardrails": (verdict("inconclusive"),)}, {}),
        (policy.hold_for_step_duration, {"seconds_in_step": 59.9}, {"seconds_in_step": 60.0}),
        (policy.hold_for_step_units, {"units_in_step": 99}, {"units_in_step": 100}),
        (policy.advance_to_next_step, {"step": 1}, {"step": 2}),
        (policy.promote_when_not_worse, {"promotion": verdict("pass")}, {"promotion": verdict("no_data")}),
    ],
)
def test_a_rule_speaks_or_is_silent(rule: Rule, speaks: dict[str, Any], silent: dict[str, Any]) -> None:
    judgement = rule(replace(READY, **speaks))
    assert judgement is not None
    assert judgement.rule == rule.__name__
    assert judgement.reason
    assert rule(replace(READY, **silent)) is None


def test_the_last_rule_always_speaks() -> None:
    assert policy.hold_for_promotion_evidence(LAST) == Hold(
        "hold_for_promotion_evidence", "promotion: inconclusive", have=3.0, need=20.0
    )


def test_the_order_of_the_rules_is_this() -> None:
    assert [rule.__name__ for rule in CANARY_RULES] == [
        "roll_back_on_guardrail",
        "roll_back_on_kill_switch",
        "freeze_when_both_are_down",
        "decide_at_deadline",
        "hold_without_data",
        "hold_on_stale_evidence",
        "hold_while_in_doubt",
        "hold_for_step_duration",
        "hold_for_step_units",
        "hold_for_approval",
        "advance_to_next_step",
        "promote_when_not_worse",
        "hold_for_promotion_evidence",
    ]


@pytest.mark.parametrize(
    ("situation", "action", "share_bp", "step"),
    [
        (READY, "advance", 2_500, 1),
        (replace(READY, step=1, share_bp=2_500), "advance", 5_000, 2),
        # Set by hand above the next step: advancing takes nothing away.
        (replace(READY, share_bp=4_000), "advance", 4_000, 1),
        (replace(LAST, promotion=verdict("pass")), "promote", None, None),
        (replace(READY, guardrails=(verdict("fail"),)), "rollback", None, None),
        (replace(READY, health="treatment_down"), "rollback", None, None),
    ],
)
def test_what_is_decided(situation: Situation, action: str, share_bp: int | None, step: int | None) -> None:
    judgement = judge(situation)
    assert isinstance(judgement, Act)
    assert (judgement.action, judgement.next_share_bp, judgement.next_step) == (action, share_bp, step)


def test_promotion_waits_for_the_last_step() -> None:
    judgement = judge(replace(READY, promotion=verdict("pass")))
    assert isinstance(judgement, Act)
    assert judgement.action == "advance"


def silent_at_the_deadline(**plan: Any) -> Judgement:
    situation = replace(
        READY, minutes_running=31, guardrails=(verdict("pass"), verdict("no_data", "latency"))
    )
    return judge(replace(situation, plan=CanaryPlan(planned_duration_minutes=30, **plan)))


@pytest.mark.parametrize(
    ("deadline_policy", "deadline_no_data", "expected"),
    [
        ("hold", "rollback", Act),
        ("rollback", "hold", Hold),
        ("rollback", None, Act),  # a definition of an older release
    ],
)
def test_without_data_the_deadline_has_a_policy_of_its_own(
    deadline_policy: Any, deadline_no_data: Any, expected: type
) -> None:
    judgement = silent_at_the_deadline(deadline_policy=deadline_policy, deadline_no_data=deadline_no_data)
    assert isinstance(judgement, expected)
    assert judgement.rule == "decide_at_deadline"
    assert "no outcomes counted for latency" in judgement.reason


ASKING = msgspec.structs.replace(PLAN, approve_before=(2, "promote"))


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (replace(READY, plan=ASKING), "advance_to_next_step"),
        (replace(READY, plan=ASKING, step=1), "hold_for_approval"),
        (replace(READY, plan=ASKING, step=1, approved=True), "advance_to_next_step"),
        # Nobody is asked before everything else is in order.
        (replace(READY, plan=ASKING, step=1, units_in_step=0), "hold_for_step_units"),
        (replace(LAST, plan=ASKING), "hold_for_promotion_evidence"),
        (replace(LAST, plan=ASKING, promotion=verdict("pass")), "hold_for_approval"),
        (replace(LAST, plan=ASKING, promotion=verdict("pass"), approved=True), "promote_when_not_worse"),
        (replace(READY, plan=ASKING, step=1, guardrails=(verdict("fail"),)), "roll_back_on_guardrail"),
    ],
)
def test_a_person_is_asked_where_the_plan_says_so(situation: Situation, expected: str) -> None:
    assert judge(situation).rule == expected


def test_a_promotion_leaves_the_holdback_of_the_plan() -> None:
    plan = msgspec.structs.replace(PLAN, holdback_share=0.1)
    judgement = judge(replace(LAST, plan=plan, promotion=verdict("pass")))
    assert isinstance(judgement, Act)
    assert (judgement.action, judgement.next_share_bp) == ("promote", 9_000)


ACTS = [Act(action, "some_rule", "because") for action in ("advance", "promote", "rollback")]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.action)
def test_who_only_observes_says_what_it_would_do(act: Act) -> None:
    assert restrained(act, "act", "") is act
    observed = restrained(act, "observe", "")
    assert isinstance(observed, Hold)
    assert observed.rule == "observe"
    assert "(some_rule): because" in observed.reason


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.action)
def test_a_freeze_stops_all_but_rollbacks(act: Act) -> None:
    judgement = restrained(act, "act", "all routes are frozen by admin")
    assert (judgement is act) == (act.action == "rollback")
    if act.action != "rollback":
        assert judgement.rule == "frozen"
        assert judgement.reason.startswith("all routes are frozen by admin; would ")


@pytest.mark.parametrize(("deadline_policy", "expected"), [("hold", Hold), ("rollback", Act)])
def test_the_deadline_does_what_the_plan_says(deadline_policy: Any, expected: type) -> None:
    plan = CanaryPlan(planned_duration_minutes=30, deadline_policy=deadline_policy)
    assert isinstance(judge(replace(READY, plan=plan, minutes_running=31)), expected)


def test_without_rules_nothing_is_done() -> None:
    assert judge(READY, ()) == Hold("nothing_to_do", "no rule applies")


@pytest.mark.parametrize(
    "worse",
    [
        {"evidence_age_seconds": 1_000},
        {"minutes_running": 1_000},
        {"health": "both_down"},
        {"units_in_step": 0, "seconds_in_step": 0},
        {"guardrails": (verdict("no_data", "content_filter_rate"), verdict("fail"))},
    ],
)
def test_nothing_holds_back_a_rollback(worse: dict[str, Any]) -> None:
    situation = replace(READY, **{"guardrails": (verdict("fail"),), **worse})
    judgement = judge(situation)
    assert isinstance(judgement, Act)
    assert judgement.action == "rollback"


names = st.sampled_from(["pass", "fail", "inconclusive", "no_data"])
situations = st.builds(
    replace,
    st.just(READY),
    step=st.integers(0, 2),
    share_bp=st.integers(0, 9_999),
    guardrails=st.lists(st.builds(verdict, names), min_size=1, max_size=3).map(tuple),
    promotion=st.builds(verdict, names),
    health=st.sampled_from(["fine", "treatment_down", "both_down"]),
    units_in_step=st.integers(0, 200),
    seconds_in_step=st.floats(0, 120),
    minutes_running=st.floats(0, 60),
    evidence_age_seconds=st.floats(0, 20),
)


@given(situations)
def test_traffic_only_goes_up_on_clean_fresh_evidence(situation: Situation) -> None:
    judgement = judge(situation)
    if isinstance(judgement, Act) and judgement.action != "rollback":
        assert {one.verdict for one in situation.guardrails} == {"pass"}
        assert situation.health == "fine"
        assert situation.evidence_age_seconds <= policy.FRESH_EVIDENCE_SECONDS
        assert situation.units_in_step >= PLAN.step_minimum_units
        assert situation.seconds_in_step >= PLAN.step_minimum_seconds


@given(situations)
def test_an_advance_never_lowers_the_share(situation: Situation) -> None:
    judgement = judge(situation)
    if isinstance(judgement, Act) and judgement.action == "advance":
        assert judgement.next_share_bp is not None
        assert judgement.next_share_bp >= situation.share_bp
        assert judgement.next_step == situation.step + 1


@given(situations)
def test_a_failed_guardrail_always_rolls_back(situation: Situation) -> None:
    if any(one.verdict == "fail" for one in situation.guardrails):
        judgement = judge(situation)
        assert isinstance(judgement, Act)
        assert judgement.rule == "roll_back_on_guardrail"
