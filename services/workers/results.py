"""The results of an experiment: computed from what was read, and written for whoever queries them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.ab_evaluation import ABTestEvaluation
from services.domain.ab_results import result_rows
from services.domain.ab_segments import segment_rows
from services.domain.canary_results import CanaryNames, canary_rows
from services.domain.evaluation import Evaluation
from services.domain.events import Role
from services.domain.results import ResultRow
from services.storage import results
from services.storage.evidence import EvidenceSnapshot
from services.storage.results import PhaseKey
from services.workers.inputs import canary_buckets, canary_sketches, segments_of


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


def rows_of(judged: Judged) -> list[ResultRow]:
    """Return every result in long form."""
    snapshot, evaluation = judged.snapshot, judged.evaluation
    if isinstance(evaluation, ABTestEvaluation):
        by_segment = segment_rows(evaluation.inputs, segments_of(snapshot))
        return [*result_rows(evaluation), *by_segment]
    names = CanaryNames(evaluation.inputs.definition.treatment, snapshot.experiment.control)
    sketches = {role: canary_sketches(snapshot, role) for role in Role}
    return canary_rows(evaluation, names, canary_buckets(snapshot), sketches)


async def write_results(
    connection: AsyncConnection, judged: Judged, *, decision_id: UUID | None = None
) -> None:
    """Replace the results, and keep them for the history where there is occasion to."""
    snapshot, key = judged.snapshot, judged.key
    await results.replace(
        connection, key, rows_of(judged), read_up_to=judged.read_up_to, is_over=not snapshot.runs
    )
    if decision_id is not None:
        await results.keep_decision(connection, key, decision_id)
    elif snapshot.runs:
        await results.keep_hour(connection, key)
    elif (ended_at := snapshot.phase.ended_at) is not None:
        seconds = (snapshot.now - ended_at).total_seconds()
        await results.keep_end(connection, key, seconds_after=seconds)
