"""The policy of what is not on its way up: promoted and watched, or deployed and not served.

During the watch the treatment serves all but the holdback. It is taken back by the guardrails and the kill
switch; what else there is to say waits for the end of the watch.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.domain.experiment import Stage
from services.domain.policy import (
    CANARY_RULES,
    Act,
    Hold,
    Judgement,
    Rule,
    Situation,
    freeze_when_both_are_down,
    hold_on_stale_evidence,
    hold_while_in_doubt,
    hold_without_data,
    roll_back_on_guardrail,
    roll_back_on_kill_switch,
)


def hold_for_watch(situation: Situation) -> Judgement | None:
    """Watch for as long as was planned."""
    have, need = situation.minutes_running, situation.plan.watch_minutes
    if have >= need:
        return None
    return Hold(
        "hold_for_watch",
        f"promoted, and watched for {have:.0f} of {need:,} minutes against the "
        f"{situation.plan.holdback_share:.2%} of units that keep the old variant",
        have=have,
        need=need,
    )


def promote_after_watch(situation: Situation) -> Judgement | None:
    """Promote for good: the old variant's last share ends."""
    minutes = situation.plan.watch_minutes
    return Act(
        "promote",
        "promote_after_watch",
        f"watched for {minutes:,} minutes after its promotion with no guardrail failing",
    )


def hold_for_switch(_situation: Situation) -> Judgement | None:
    """What is deployed and not served is for a person to switch to."""
    return Hold("hold_for_switch", "deployed, and served to nobody yet; /switch sends the traffic to it")


WATCH_RULES: tuple[Rule, ...] = (
    roll_back_on_guardrail,
    roll_back_on_kill_switch,
    freeze_when_both_are_down,
    hold_for_watch,
    hold_without_data,
    hold_on_stale_evidence,
    hold_while_in_doubt,
    promote_after_watch,
)

RULES: Mapping[Stage, tuple[Rule, ...]] = {
    "ramp": CANARY_RULES,
    "deployed": (hold_for_switch,),
    "watch": WATCH_RULES,
}
"""The rules of each stage, in order."""
