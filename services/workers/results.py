"""The results of an experiment: computed from what was read, and written for whoever queries them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.domain.ab_evaluation import ABTestEvaluation
from services.domain.ab_results import result_rows
from services.domain.ab_segments import corrected, rows_of_segment
from services.domain.canary_results import CanaryNames, canary_rows
from services.domain.evaluation import Evaluation
from services.domain.events import Role
from services.domain.results import ResultRow
from services.storage import results
from services.storage.evidence import EvidenceSnapshot
from services.storage.results import PhaseKey
from services.workers.inputs import canary_buckets, canary_sketches, segment_names, segment_of


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation with what it looked at. ``read_up_to``: see ``results.replace``."""

    snapshot: EvidenceSnapshot
    evaluation: Evaluation | ABTestEvaluation
    read_up_to: str | None

    @property
    def key(self) -> PhaseKey:
        """The phase it is about."""
        experiment = self.snapshot.experiment
        return PhaseKey(experiment.experiment_id, experiment.key, self.snapshot.phase.phase)


async def rows_of(judged: Judged) -> list[ResultRow]:
    """Return every result in long form. Between segments others have their turn."""
    snapshot, evaluation = judged.snapshot, judged.evaluation
    if isinstance(evaluation, ABTestEvaluation):
        by_segment: list[ResultRow] = []
        for name in segment_names(snapshot):
            by_segment += rows_of_segment(evaluation.inputs, segment_of(snapshot, name))
            await asyncio.sleep(0)
        return [*result_rows(evaluation), *corrected(by_segment)]
    names = CanaryNames(evaluation.inputs.definition.treatment, snapshot.experiment.control)
    sketches = {role: canary_sketches(snapshot, role) for role in Role}
    return canary_rows(evaluation, names, canary_buckets(snapshot), sketches)


async def write_results(engine: AsyncEngine, judged: Judged, *, decision_id: UUID | None = None) -> None:
    """Replace the results, and keep them for the history where there is occasion to."""
    rows = await rows_of(judged)
    async with engine.begin() as connection:
        await _write(connection, judged, rows, decision_id)


async def _write(
    connection: AsyncConnection, judged: Judged, rows: list[ResultRow], decision_id: UUID | None
) -> None:
    snapshot, key = judged.snapshot, judged.key
    await results.replace(connection, key, rows, read_up_to=judged.read_up_to, is_over=not snapshot.runs)
    if decision_id is not None:
        await results.keep_decision(connection, key, decision_id)
    elif snapshot.runs:
        await results.keep_hour(connection, key, started_at=snapshot.phase.started_at)
    elif (ended_at := snapshot.phase.ended_at) is not None:
        seconds = (snapshot.now - ended_at).total_seconds()
        await results.keep_end(connection, key, seconds_after=seconds)
