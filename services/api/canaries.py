"""What each verb does to a canary."""

from __future__ import annotations

from services.api.changes import Change, check_room
from services.domain.canary import check_share
from services.domain.errors import Conflict, InvalidDefinition
from services.domain.policy import next_point, point_name
from services.storage import experiments, routes


async def start(change: Change) -> None:
    """Give the treatment the first step's share. The control is the variant that is stable now."""
    experiment, stable = change.experiment, change.allocation.stable
    await check_room(change.connection, experiment)
    treatment = experiment.canary.treatment
    if treatment == stable:
        raise Conflict(
            f"variant {stable!r} is the route's stable variant by now; there is nothing to compare it with"
        )
    await experiments.start(change.connection, experiment.experiment_id, control=stable)
    first_share = experiment.canary.plan.share_bp(0)
    await change.reallocate(
        change.allocation.with_experiment(experiment.experiment_id, treatment, first_share)
    )


async def pause(change: Change) -> None:
    """Let the control serve everything; keep the evidence."""
    await experiments.set_status(change.connection, change.experiment.experiment_id, "paused")
    await change.reallocate(change.allocation.with_share(0))


async def resume(change: Change) -> None:
    """Give the treatment the share it had before the pause."""
    experiment = change.experiment
    share_bp = await routes.share_before_pause(
        change.connection, experiment.route_key, experiment.experiment_id
    )
    await experiments.set_status(change.connection, experiment.experiment_id, "running")
    await change.reallocate(change.allocation.with_share(share_bp))


async def set_share(change: Change, share: float) -> None:
    """Give the treatment another share; the step stays what it is."""
    share_bp = check_share("share", share)
    if share_bp != change.allocation.treatment_share_bp:
        await change.reallocate(change.allocation.with_share(share_bp))


async def approve(change: Change) -> None:
    """Agree to the next step, or to the promotion, from the present allocation."""
    experiment, allocation = change.experiment, change.allocation
    plan = experiment.canary.plan
    point = next_point(plan, allocation.step)
    if point not in plan.approve_before:
        raise Conflict(
            f"cannot approve {experiment.key!r}: {point_name(plan, point)} comes next, and its plan asks for "
            "nobody's approval of that; it goes on by itself, or with /share or /promote"
        )
    await experiments.approve(change.connection, experiment.experiment_id, allocation.version)
    await change.note()


async def stop(change: Change) -> None:
    """End the canary without a conclusion; the control serves everything."""
    await experiments.conclude(change.connection, change.experiment.experiment_id, "inconclusive")
    await change.reallocate(change.allocation.without_experiment(change.allocation.stable))


def to_promote(change: Change, variant: str | None) -> None:
    """Return no variant: a canary has one that can be promoted. Raises InvalidDefinition for another."""
    treatment = change.experiment.canary.treatment
    if variant not in (None, treatment):
        raise InvalidDefinition("variant", f"must be {treatment!r}, the canary's treatment, or left out")
