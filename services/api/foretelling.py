"""What an experiment would do, and what is doubtful about it, in sentences. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from services.api.planning import Traffic, duration, measures_cost, no_prices
from services.domain.ab_test import ABTestDefinition
from services.domain.canary import CanaryDefinition, Guardrail, SequentialPolicy
from services.domain.policy import point_name
from services.storage.route_traffic import RouteTraffic

SHORT_MINUTES = 120
"""Traffic seen for less may be a burst."""
OBSERVES = "do none of this by itself: in mode observe it only says what it would do"


def canary_would(definition: CanaryDefinition, control: str) -> Iterator[str]:
    """Return what starting the canary does, in order."""
    plan, policy = definition.plan, definition.policy
    steps = " → ".join(f"{step:.0%}" for step in plan.steps)
    yield f"give {definition.treatment!r} {plan.steps[0]:.0%} of the units that {control!r} serves now"
    yield (
        f"climb {steps}, after at least {plan.step_minimum_seconds:g} s and {plan.step_minimum_units} units "
        "at each step, while no guardrail fails or is in doubt"
    )
    if isinstance(policy, SequentialPolicy):
        guards = ", ".join(map(_guarded, policy.guardrails))
        alarms = f"at most {policy.alpha_rollback:.1%} false alarms"
        yield f"roll back as soon as {guards} is shown to be worse ({alarms})"
        yield f"promote when it is shown to be not worse by {policy.margin_promote:.1%}"
    else:
        yield f"roll back when it is worse by {policy.margin:.1%} over {policy.window_minutes} minutes"
    for point in plan.approve_before:
        yield f"wait for approval before {point_name(plan, point)}"
    if plan.watch.promoted_share_bp is not None:
        yield (
            f"after its promotion leave {plan.holdback_share:.1%} on {control!r} for {plan.watch_minutes:,} "
            "minutes, and take it back if a guardrail fails meanwhile"
        )
    at_the_end = "roll back" if plan.deadline_policy == "rollback" else "hold and say so"
    yield f"{at_the_end} if nothing is decided after {plan.planned_duration_minutes} minutes"
    without_data = plan.deadline_no_data or plan.deadline_policy
    if without_data != plan.deadline_policy:
        at_the_end = "roll back" if without_data == "rollback" else "hold and say so"
        yield f"{at_the_end} if by then nothing is counted"
    if definition.mode == "observe":
        yield OBSERVES


def _guarded(guardrail: Guardrail) -> str:
    if not guardrail.margin or guardrail.metric == "latency":
        return guardrail.metric
    return f"{guardrail.metric} (by more than {100 * guardrail.margin:g}%)"


def ab_test_would(definition: ABTestDefinition) -> Iterator[str]:
    """Return what starting the test does, in order."""
    weights = ", ".join(f"{variant.key!r} {variant.weight:.0%}" for variant in definition.variants)
    yield f"split {definition.traffic_share:.0%} of the route's units: {weights}; the others get the control"
    yield f"compare them on {', '.join(definition.goals)}, corrected for looking at several"
    if definition.guardrails:
        guards = ", ".join(guard.metric for guard in definition.guardrails)
        yield f"roll back as soon as {guards} of a treatment is shown to be worse than its margin"
    winner = "promote it" if definition.on_winner == "promote" else "hold and say so"
    yield f"{winner} if a treatment wins"
    yield f"be readable by fixed-horizon methods after {duration(definition.planned_duration_minutes)}"
    if definition.mode == "observe":
        yield OBSERVES


def traffic_warnings(seen: RouteTraffic) -> Iterator[str]:
    """Return what may be wrong with taking the traffic that was seen for what will come."""
    if 0 < seen.minutes < SHORT_MINUTES:
        yield (
            f"the route's traffic is known of {duration(seen.minutes)} only: what is foretold takes it to go "
            "on like that day and night"
        )


def canary_warnings(definition: CanaryDefinition, traffic: Traffic) -> Iterator[str]:
    """Return what makes the canary slower, or less sure, than its team may think."""
    plan, rate = definition.plan, traffic.requests_per_second
    if not rate:
        yield "the route had no traffic lately; a canary holds until there is some"
        return
    seconds = 0.0
    for share in plan.steps:
        seconds += max(plan.step_minimum_seconds, plan.step_minimum_units / (rate * share))
    if seconds > plan.planned_duration_minutes * 60:
        yield (
            f"its steps take {seconds / 60:,.0f} minutes on this traffic, which is more than the planned "
            f"{plan.planned_duration_minutes}"
        )
    if not isinstance(definition.policy, SequentialPolicy):
        yield "the windowed rule has no guaranteed rate of false alarms (docs/decisions/0007)"


def ab_test_warnings(
    definition: ABTestDefinition, traffic: Traffic, unpriced: Collection[str] = ()
) -> Iterator[str]:
    """Return what makes the test slower, or less sure, than its team may think.

    ``unpriced`` are the variants of which no endpoint has prices.
    """
    rate = traffic.requests_per_second * definition.traffic_share
    if not rate:
        yield "the route had no traffic lately; a test finds nothing without any"
    for variant in definition.variants:
        expected = rate * variant.weight * definition.planned_duration_minutes * 60
        if 0 < expected < definition.minimum_units:
            yield (
                f"{variant.key!r} gets some {expected:,.0f} units by the planned end, and minimum_units is "
                f"{definition.minimum_units:,}"
            )
    goals = [definition.metric(key) for key in definition.goals]
    if any(map(measures_cost, goals)):
        yield no_prices(unpriced) if unpriced else "cost is only known of endpoints that have prices"
    if any(metric.source.startswith("feedback:") for metric in goals):
        yield (
            "a goal waits for feedback: it is only known of requests that somebody reports on, and what is "
            "foretold takes everybody to report"
        )
    if len(definition.goals) > 5:
        yield f"{len(definition.goals)} goals share one error budget: each has to be the clearer"
