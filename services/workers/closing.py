"""The last results of phases that are over, and those that late feedback changes afterwards."""

from __future__ import annotations

import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.ab_evaluation import evaluate_test
from services.domain.ab_test import ABTestDefinition
from services.domain.evaluation import evaluate
from services.storage import evidence
from services.storage.results import PhaseKey
from services.workers.inputs import ab_test_inputs, canary_inputs
from services.workers.results import Judged, write_results

logger = logging.getLogger(__name__)


async def renew_closed(engine: AsyncEngine, key: PhaseKey, *, topic: str, partitions: int) -> None:
    """Write the results of a phase in which nothing runs; nothing is decided about it any more."""
    snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
    async with snapshots.connect() as connection:
        found = await evidence.read_phase(
            connection, key.experiment_id, key.phase, topic=topic, partitions=partitions
        )
    if found is None:
        return
    snapshot, cache = found
    is_test = isinstance(snapshot.experiment.definition, ABTestDefinition)
    evaluation = (
        evaluate_test(ab_test_inputs(snapshot)) if is_test else evaluate(canary_inputs(snapshot, None))
    )
    await write_results(engine, Judged(snapshot, evaluation, cache.read_up_to))
    logger.debug("results of phase %d of %s are up to date", key.phase, key.experiment)
