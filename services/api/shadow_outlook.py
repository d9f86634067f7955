"""What a shadow would do and is doing, in sentences. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from services.api.experiment_views import WaitingFor
from services.api.planning import Traffic
from services.domain.experiment import Experiment
from services.domain.shadow import ShadowDefinition


def would(definition: ShadowDefinition, control: str) -> Iterator[str]:
    """Return what starting the shadow does, in order."""
    yield (
        f"send a copy of {definition.sample_share:.2%} of the requests to {definition.treatment!r}, each "
        f"after its caller has the answer of {control!r} or of whatever else serves it"
    )
    yield "compare both answers, their latency, tokens and costs; callers never see the shadow's"
    yield (
        f"ask at most {definition.max_concurrency} at a time at each gateway, let {definition.queue_limit} "
        "more wait, and shed and count the rest"
    )
    if definition.cost_limit_per_hour is not None:
        yield f"shed what would cost more than ${definition.cost_limit_per_hour:g} an hour at a gateway"
    if definition.keep_text:
        yield f"store the texts of both answers, and delete them after {definition.text_days} days"
    yield f"mirror nothing more after {definition.planned_duration_minutes} minutes"


def warnings(definition: ShadowDefinition, traffic: Traffic) -> Iterator[str]:
    """Return what may surprise its team."""
    rate = traffic.requests_per_second * definition.sample_share
    if not rate:
        yield "the route had no traffic lately; there is nothing to mirror until there is some"
    if definition.cost_limit_per_hour is None:
        yield "no cost limit is set; mirrored requests cost as much as others"
    room = definition.max_concurrency / definition.timeout_seconds
    if rate > room:
        yield (
            f"{rate:.1f} copies a second are expected; should the shadow hang, only {room:.1f} a second are "
            "asked and the others are shed"
        )


def waiting(experiment: Experiment, definition: ShadowDefinition, now: datetime) -> WaitingFor:
    """Return what a shadow that was started is doing: nobody decides anything about it."""
    comparisons = f"GET /v1/experiments/{experiment.key}/comparisons"
    if experiment.status == "paused":
        return WaitingFor(
            rule="paused", sentence=f"paused: nothing is mirrored; resume it, or see {comparisons}"
        )
    ends_at = (experiment.started_at or now) + timedelta(minutes=definition.planned_duration_minutes)
    if now >= ends_at:
        sentence = (
            f"its planned duration is over and nothing more is mirrored; see {comparisons}, then stop it"
        )
        return WaitingFor(rule="planned_duration_over", sentence=sentence)
    share = f"{definition.sample_share:.2%} of the requests"
    sentence = (
        f"mirrors {share} to {definition.treatment!r} until {ends_at:%Y-%m-%d %H:%M} UTC; see {comparisons}"
    )
    return WaitingFor(rule="mirroring", sentence=sentence)
