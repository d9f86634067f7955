"""What each verb does to a shadow. None of them changes what callers get."""

from __future__ import annotations

from services.api.changes import Change, check_room
from services.domain.allocation import ShadowSplit
from services.domain.errors import Conflict
from services.storage import experiments


async def start(change: Change) -> None:
    """Mirror a share of the route's requests from now on."""
    experiment, stable = change.experiment, change.allocation.stable
    await check_room(change.connection, experiment)
    definition = experiment.shadow
    if definition.treatment == stable:
        raise Conflict(
            f"variant {stable!r} is the route's stable variant by now; there is nothing to compare it with"
        )
    await experiments.start(change.connection, experiment.experiment_id, control=stable)
    split = ShadowSplit(experiment.experiment_id, definition.treatment, definition.sample_bp)
    await change.reallocate(change.allocation.with_shadow(split))


async def pause(change: Change) -> None:
    """Mirror nothing; keep what was compared."""
    await experiments.set_status(change.connection, change.experiment.experiment_id, "paused")
    await change.reallocate(change.allocation.with_shadow(_split(change).with_sample(0)))


async def resume(change: Change) -> None:
    """Mirror again as before the pause."""
    await experiments.set_status(change.connection, change.experiment.experiment_id, "running")
    sample_bp = change.experiment.shadow.sample_bp
    await change.reallocate(change.allocation.with_shadow(_split(change).with_sample(sample_bp)))


async def stop(change: Change) -> None:
    """End the shadow; what was compared stays readable."""
    await experiments.conclude(change.connection, change.experiment.experiment_id, "inconclusive")
    await change.reallocate(change.allocation.without_shadow())


def to_promote(change: Change, _variant: str | None) -> str | None:
    """Raise Conflict: nothing is known of what a shadow's answers would do to people."""
    raise Conflict(f"{change.experiment.key!r} is a shadow; start a canary of the same variant")


def _split(change: Change) -> ShadowSplit:
    found = change.allocation.shadow
    if found is None or found.experiment_id != change.experiment.experiment_id:
        raise Conflict(f"{change.experiment.key!r} mirrors nothing of its route; stop it")
    return found
