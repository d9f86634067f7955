"""What each verb does to a blue-green deployment's traffic. The checks are in ``deployments``."""

from __future__ import annotations

from services.api.changes import Change, check_room, decide
from services.domain.errors import Conflict, InvalidDefinition
from services.storage import experiments


async def start(change: Change) -> None:
    """Deploy the treatment to the idle slot: gateways learn of it, and nobody is sent to it."""
    experiment, stable = change.experiment, change.allocation.stable
    await check_room(change.connection, experiment)
    treatment = experiment.blue_green.treatment
    if treatment == stable:
        raise Conflict(f"variant {stable!r} is the route's stable variant by now; there is nothing to deploy")
    await experiments.deploy(change.connection, experiment.experiment_id, control=stable)
    await change.reallocate(change.allocation.with_deployment(experiment.experiment_id, treatment))


async def switch(change: Change) -> None:
    """Send everybody but the holdback to what is deployed, in one version of the allocation."""
    share_bp = change.experiment.watch.promoted_share_bp
    if share_bp is None:
        # Without a holdback there is nothing to watch: the same as a promotion by hand.
        await decide(change, "promote")
        return
    await experiments.begin_watch(change.connection, change.experiment.experiment_id)
    await change.reallocate(change.allocation.switched(share_bp))


async def stop(change: Change) -> None:
    """Take the deployment away before anybody was sent to it."""
    await experiments.conclude(change.connection, change.experiment.experiment_id, "inconclusive")
    await change.reallocate(change.allocation.without_experiment(change.allocation.stable))


def to_promote(change: Change, variant: str | None) -> None:
    """Return no variant: there is one. Raises InvalidDefinition for another."""
    treatment = change.experiment.blue_green.treatment
    if variant not in (None, treatment):
        raise InvalidDefinition("variant", f"must be {treatment!r}, the deployed variant, or left out")


async def refuse(change: Change) -> None:
    """Raise Conflict: a deployment cannot be paused."""
    raise Conflict(f"{change.experiment.key!r} is a blue-green deployment; /rollback takes it back")
