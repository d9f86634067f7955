"""The watch after a promotion: the same guardrails, and an end; nothing else moves traffic."""

from dataclasses import replace
from typing import Any

import pytest

from services.domain.canary import CanaryPlan
from services.domain.errors import InvalidDefinition
from services.domain.policy import Act, Hold, Judgement, Situation, judge
from services.domain.watch_plan import WatchPlan, check_watch
from services.domain.watch_policy import RULES
from tests.unit.domain.test_policy import READY, verdict

WATCHED: Situation = replace(
    READY, plan=CanaryPlan(holdback_share=0.05, watch_minutes=30), share_bp=9_500, minutes_running=29.9
)
ENDED = replace(WATCHED, minutes_running=30)


def judged(situation: Situation) -> Judgement:
    return judge(situation, RULES["watch"])


def test_it_waits_for_the_planned_minutes_and_says_so() -> None:
    waiting = judged(WATCHED)
    assert isinstance(waiting, Hold)
    assert (waiting.rule, waiting.have, waiting.need) == ("hold_for_watch", 29.9, 30)
    assert "5.00%" in waiting.reason


def test_at_its_end_the_promotion_is_for_good() -> None:
    assert judged(ENDED) == Act(
        "promote",
        "promote_after_watch",
        "watched for 30 minutes after its promotion with no guardrail failing",
    )


@pytest.mark.parametrize("minutes", [0.0, 29.0, 30.0, 3_000.0])
@pytest.mark.parametrize("worse", [{"guardrails": (verdict("fail"),)}, {"health": "treatment_down"}])
def test_what_would_have_stopped_the_ramp_takes_it_back(minutes: float, worse: dict[str, Any]) -> None:
    judgement = judged(replace(WATCHED, minutes_running=minutes, **worse))
    assert isinstance(judgement, Act)
    assert judgement.action == "rollback"


@pytest.mark.parametrize(
    ("unclear", "rule"),
    [
        ({"guardrails": (verdict("no_data"),)}, "hold_without_data"),
        ({"guardrails": (verdict("inconclusive"),)}, "hold_while_in_doubt"),
        ({"evidence_age_seconds": 6}, "hold_on_stale_evidence"),
        ({"health": "both_down"}, "freeze_when_both_are_down"),
    ],
)
def test_it_does_not_end_on_nothing(unclear: dict[str, Any], rule: str) -> None:
    assert judged(replace(ENDED, **unclear)).rule == rule


def test_what_is_deployed_waits_for_a_person() -> None:
    assert judge(ENDED, RULES["deployed"]).rule == "hold_for_switch"


@pytest.mark.parametrize(("share", "promoted_bp"), [(0.05, 9_500), (0.0001, 9_999), (0.5, 5_000), (0, None)])
def test_what_a_promoted_variant_gets(share: float, promoted_bp: int | None) -> None:
    assert WatchPlan(share).promoted_share_bp == promoted_bp


@pytest.mark.parametrize(
    ("watch", "field"),
    [
        (WatchPlan(-0.1), "holdback_share"),
        (WatchPlan(0.51), "holdback_share"),
        (WatchPlan(0.00001), "holdback_share"),
        (WatchPlan(watch_minutes=0), "watch_minutes"),
    ],
)
def test_a_watch_that_cannot_be(watch: WatchPlan, field: str) -> None:
    check_watch(WatchPlan())
    with pytest.raises(InvalidDefinition, match=f"^plan.{field}: "):
        check_watch(watch, prefix="plan.")
