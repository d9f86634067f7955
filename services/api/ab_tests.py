"""What each verb does to an A/B test."""

from __future__ import annotations

import msgspec

from services.api.ab_test_bodies import SplitBody, weights_of
from services.api.changes import Change, check_room
from services.domain.ab_test import (
    ABTestDefinition,
    WeightedVariant,
    check_traffic_share,
    check_weights,
)
from services.domain.allocation import TestSplit
from services.domain.errors import Conflict, InvalidDefinition
from services.storage import experiments


async def start(change: Change) -> None:
    """Lay the test over what the route serves. Its control must be what is stable now."""
    experiment, stable = change.experiment, change.allocation.stable
    await check_room(change.connection, experiment)
    definition = experiment.ab_test
    if definition.control != stable:
        raise Conflict(
            f"the control of {experiment.key!r} is {definition.control!r}, but by now the route's stable "
            f"variant is {stable!r}; create another test, with {stable!r} as its first variant"
        )
    split = TestSplit.of(experiment.experiment_id, definition)
    await experiments.start(change.connection, experiment.experiment_id, control=stable, split=split)
    await change.reallocate(change.allocation.with_test(split))


async def pause(change: Change) -> None:
    """Let no unit take part; keep the evidence, and the phase."""
    await experiments.set_status(change.connection, change.experiment.experiment_id, "paused")
    await change.reallocate(change.allocation.with_test(_split(change).with_traffic(0)))


async def resume(change: Change) -> None:
    """Let units take part again as they did before the pause."""
    await experiments.set_status(change.connection, change.experiment.experiment_id, "running")
    traffic_bp = change.experiment.ab_test.traffic_bp
    await change.reallocate(change.allocation.with_test(_split(change).with_traffic(traffic_bp)))


async def stop(change: Change) -> None:
    """End the test without a conclusion; everybody gets the control."""
    await experiments.conclude(change.connection, change.experiment.experiment_id, "inconclusive")
    await change.reallocate(change.allocation.without_test())


async def split(change: Change, body: SplitBody) -> None:
    """Begin a new phase with other weights or another traffic share. The same split again changes nothing."""
    experiment = change.experiment
    before = experiment.ab_test
    after = _split_anew(before, body)
    if after == before:
        return
    await experiments.begin_phase(change.connection, experiment.experiment_id, after)
    await change.reallocate(change.allocation.with_test(TestSplit.of(experiment.experiment_id, after)))


def to_promote(change: Change, variant: str | None) -> str:
    """Return the treatment to promote: the one that is named, or the only one there is.

    Raises InvalidDefinition where that is none, and Conflict while a canary is live on the route: both would
    change what is stable.
    """
    treatments = change.experiment.treatments
    if variant == change.experiment.control:
        raise InvalidDefinition(
            "variant", f"{variant!r} is the control, which stays as it is; /rollback or /stop ends the test"
        )
    if variant is None and len(treatments) > 1:
        raise InvalidDefinition("variant", f"is missing; name one of the treatments: {', '.join(treatments)}")
    if variant is not None and variant not in treatments:
        raise InvalidDefinition("variant", f"must be one of the test's treatments: {', '.join(treatments)}")
    if change.allocation.experiment_id is not None:
        raise Conflict("a canary is live on the route; wait for its end or stop it, then promote")
    return variant or treatments[0]


def _split(change: Change) -> TestSplit:
    found = change.allocation.test
    if found is None or found.experiment_id != change.experiment.experiment_id:
        raise Conflict(f"{change.experiment.key!r} has no part of its route's traffic; stop it")
    return found


def _split_anew(before: ABTestDefinition, body: SplitBody) -> ABTestDefinition:
    if body.variants is None and body.traffic_share is None:
        raise InvalidDefinition("variants", "are missing; send new weights, a traffic_share, or both")
    traffic_share = before.traffic_share if body.traffic_share is None else body.traffic_share
    check_traffic_share(traffic_share)
    variants = before.variants if body.variants is None else _reweighted(before, body)
    return msgspec.structs.replace(before, variants=variants, traffic_share=traffic_share)


def _reweighted(before: ABTestDefinition, body: SplitBody) -> tuple[WeightedVariant, ...]:
    """Return the test's variants in their own order: a variant's place is its name in every event."""
    keys = [variant.key for variant in before.variants]
    sent = body.variants or []
    if sorted(variant.key for variant in sent) != sorted(keys):
        raise InvalidDefinition("variants", f"must be the test's variants, each once: {', '.join(keys)}")
    weights = weights_of(sent, keys)
    variants = tuple(WeightedVariant(key, weights[key]) for key in keys)
    check_weights(variants)
    return variants
