"""What a blue-green deployment would do and is waiting for, in sentences. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from services.api.experiment_views import WaitingFor
from services.api.planning import Traffic, duration
from services.domain.experiment import BlueGreenDefinition, Experiment
from services.domain.health_check import HealthRun


def would(definition: BlueGreenDefinition, control: str) -> Iterator[str]:
    """Return what the deployment does, in order."""
    treatment = definition.treatment
    requests = sum(check.attempts for check in definition.checks)
    yield f"deploy {treatment!r} to the idle slot, where nobody is sent to it"
    names = ", ".join(check.name for check in definition.checks)
    yield (
        f"check it with {requests} real requests ({names}) within {definition.checks_within_seconds:g} s, "
        "at the start, on demand and at the switch"
    )
    share_bp = definition.watch.promoted_share_bp
    if share_bp is None:
        yield f"at /switch, give everybody {treatment!r} for good; nothing is watched"
        return
    yield f"at /switch, give {share_bp / 10_000:.2%} {treatment!r} at once, and keep the rest on {control!r}"
    yield (
        f"watch it for {duration(definition.watch_minutes)}: roll back where a guardrail fails, and promote "
        "it for good at the end"
    )


def warnings(definition: BlueGreenDefinition, traffic: Traffic) -> Iterator[str]:
    """Return what may surprise its team."""
    if definition.watch.promoted_share_bp is None:
        yield "without a holdback nobody notices when the new variant is worse; nothing is rolled back"
    elif not traffic.requests_per_second:
        yield "the route had no traffic lately; a watch without traffic finds nothing"


def waiting(experiment: Experiment, newest: HealthRun | None) -> WaitingFor:
    """Return what a deployment waits for that nobody was switched to yet."""
    key = experiment.key
    if newest is None:
        sentence = f"deployed and not checked yet; POST /v1/experiments/{key}/health checks it"
        return WaitingFor(rule="unchecked", sentence=sentence)
    where = f"variant {newest.variant!r} in slot {newest.slot}"
    if newest.passed:
        sentence = f"{where} is healthy: {newest.sentence}; /switch sends the traffic to it"
        return WaitingFor(rule="hold_for_switch", sentence=sentence)
    sentence = f"{where} is not healthy: {newest.sentence}; mend it and POST /health, or /rollback"
    return WaitingFor(rule="unhealthy", sentence=sentence)
