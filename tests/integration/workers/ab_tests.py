"""A running A/B test in the database, what a gateway sends of it, and its sums counted the slow way."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID, uuid4

import numpy as np

from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.assignment import analysis_bucket, outcome_partition, unit_hash
from services.domain.configuration import SegmentConfig
from services.domain.events import AssignedTo, Feedback, Outcome, Role, UnitSource
from services.domain.experiment import Experiment
from services.domain.metric import BUILT_IN, Metric
from services.domain.status import OutcomeStatus
from services.storage import experiments
from services.storage.buckets import BucketCache, refresh
from services.storage.identifiers import new_id
from tests.integration.workers.world import World

Cells = Counter[tuple[int, str, str, int, int]]
"""(variant, segment, column, plane, bucket) → number."""

DEFINITION = ABTestDefinition(
    variants=(WeightedVariant("control", 0.5), WeightedVariant("a", 0.25), WeightedVariant("b", 0.25)),
    goals=("failing_units", "satisfaction_rate"),
    metrics=(
        BUILT_IN["error_rate"],
        BUILT_IN["satisfaction_rate"],
        Metric(key="failing_units", source="error", kind="proportion", per="unit"),
    ),
    segments=(SegmentConfig("region", "x-region"),),
)


async def define(world: World) -> UUID:
    """Create the test; return its identifier."""
    experiment_id = new_id()
    async with world.engine.begin() as connection:
        await experiments.create(
            connection,
            Experiment(
                experiment_id=experiment_id,
                key=str(experiment_id),
                route_key="chat",
                kind="ab_test",
                status="running",
                conclusion=None,
                definition=DEFINITION,
                control="control",
                phase=1,
                created_at=datetime.now(UTC),
            ),
        )
    return experiment_id


def assigned_to(experiment_id: UUID, unit: str) -> AssignedTo:
    """The unit's place in the test."""
    index = unit_hash(unit) % 3
    role = Role.TREATMENT if index else Role.CONTROL
    return AssignedTo(experiment_id, 1, role, 2_500 if index else 5_000, index)


def an_outcome_of(experiment_id: UUID, unit: str, region: str, *, failed: bool) -> Outcome:
    """A request of the unit."""
    return Outcome(
        request_id=f"req-{uuid4()}",
        route_key="chat",
        variant_key="any",
        unit_hash=unit_hash(unit),
        unit_source=UnitSource.USER,
        status=OutcomeStatus.TIMEOUT if failed else OutcomeStatus.OK,
        http_status=200,
        started_at_us=1,
        latency_us=1_000,
        prompt_tokens=len(unit),
        assignments=(assigned_to(experiment_id, unit),),
        attributes={"region": region},
    )


def a_report_of(experiment_id: UUID, unit: str, event_id: str, *, value: bool) -> Feedback:
    """A report about an answer to the unit."""
    return Feedback(
        event_id=event_id,
        name="satisfaction",
        value=float(value),
        is_boolean=True,
        unit_hash=unit_hash(unit),
        unit_source=UnitSource.USER,
        request_id="any",
        route_key="chat",
        received_at_us=1,
        assignments=(assigned_to(experiment_id, unit),),
    )


def partition_of(unit: str, partitions: int) -> int:
    """Where everything of the unit goes."""
    return outcome_partition(unit_hash(unit), partitions)


class Recount:
    """What the sums must be, of everything that was sent once."""

    def __init__(self) -> None:
        self.cells: Cells = Counter()
        self._seen: set[tuple[str, object]] = set()

    def outcome(self, one: Outcome) -> None:
        """Count an outcome."""
        variant, bucket = one.assignments[0].variant_number, analysis_bucket(one.unit_hash)
        failed = one.status is OutcomeStatus.TIMEOUT
        values = {
            "error": int(failed),
            "prompt_tokens": one.prompt_tokens or 0,
            "units_with:error": int(failed and self._is_new("error", one.unit_hash)),
        }
        if self._is_new("request", one.unit_hash):
            values["units"] = 0
        for segment in ("", f"region={one.attributes['region']}"):
            for column, value in values.items():
                self.cells[variant, segment, column, 0, bucket] += 1
                self.cells[variant, segment, column, 1, bucket] += value

    def report(self, one: Feedback) -> None:
        """Count a report."""
        if self._is_new("feedback", one.event_id):
            variant, bucket = one.assignments[0].variant_number, analysis_bucket(one.unit_hash)
            self.cells[variant, "", "yes:feedback:satisfaction", 0, bucket] += 1
            self.cells[variant, "", "yes:feedback:satisfaction", 1, bucket] += round(one.value * 1e6)

    def _is_new(self, event: str, what: object) -> bool:
        new = (event, what) not in self._seen
        self._seen.add((event, what))
        return new


async def summed(world: World, experiment_id: UUID) -> Cells:
    """The stored sums of the columns that a recount has."""
    cache = BucketCache(phase=1)
    async with world.engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await refresh(connection, experiment_id, cache)
    cells: Cells = Counter()
    for variant in range(3):
        for segment in cache.segments:
            table = cache.variant(variant, segment)
            for column in (
                "units",
                "error",
                "prompt_tokens",
                "units_with:error",
                "yes:feedback:satisfaction",
            ):
                for plane, numbers in enumerate(
                    (table.n(column), table.total(column)) if table.columns else ()
                ):
                    for bucket in np.flatnonzero(numbers).tolist():
                        cells[variant, segment, column, plane, bucket] = int(numbers[bucket])
    return cells
