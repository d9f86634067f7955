"""What is summed for each experiment: loaded from Postgres when it is first needed, and kept.

Definitions do not change while an experiment runs; an experiment that nobody defined is summed like a canary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.domain.ab_test import OTHER, ABTestDefinition
from services.domain.experiment import Experiment
from services.domain.metric import Column, columns_for
from services.storage import claims, experiments, segments
from services.storage.segments import SegmentValue
from services.workers.endings import Endings

LONGEST_VALUE = 100
"""Characters of an attribute's value that are kept."""

_DEFAULT_COLUMNS = columns_for(())


@dataclass(slots=True)
class Plan:
    """The columns of an experiment, and the values of each attribute that have a segment of their own."""

    columns: tuple[Column, ...] = _DEFAULT_COLUMNS
    attributes: tuple[str, ...] = ()
    values: dict[str, set[str]] = field(default_factory=dict)
    looked_up: set[tuple[str, str]] = field(default_factory=set)
    """(attribute, value) that were registered, or found no room."""

    def knows(self, attribute: str, value: str) -> bool:
        """Say whether it is known if the value has a segment of its own."""
        return value in self.values.get(attribute, ()) or (attribute, value) in self.looked_up

    def segment(self, attribute: str, value: str) -> str:
        """Return the segment of a value that was looked up."""
        return f"{attribute}={value if value in self.values.get(attribute, ()) else OTHER}"


class Plans:
    """The plans of the experiments seen so far."""

    def __init__(self, endings: Endings) -> None:
        self._endings = endings
        self._plans: dict[UUID, Plan] = {}
        # Equal columns are the same object: what has the same columns is added up together.
        self._columns: dict[tuple[Column, ...], tuple[Column, ...]] = {_DEFAULT_COLUMNS: _DEFAULT_COLUMNS}

    def __getitem__(self, experiment_id: UUID) -> Plan:
        return self._plans[experiment_id]

    def unknown(self, experiment_ids: Iterable[UUID]) -> set[UUID]:
        """Return those that are to be loaded."""
        return {one for one in experiment_ids if one not in self._plans}

    async def load(self, connection: AsyncConnection, experiment_ids: Collection[UUID]) -> None:
        """Load definitions and registered values."""
        found = await experiments.by_ids(connection, experiment_ids)
        registered = await segments.load(connection, experiment_ids)
        for experiment_id in experiment_ids:
            plan = self._plan(found.get(experiment_id))
            for one in registered:
                if one.experiment_id == experiment_id:
                    plan.values.setdefault(one.attribute, set()).add(one.value)
            self._plans[experiment_id] = plan
        self._learn(found.values())

    async def register(self, connection: AsyncConnection, wanted: Iterable[SegmentValue]) -> None:
        """Give values a segment of their own, as far as there is room, or find out that there is none."""
        by_attribute: dict[tuple[UUID, str], set[str]] = {}
        for one in wanted:
            by_attribute.setdefault((one.experiment_id, one.attribute), set()).add(one.value)
        for (experiment_id, attribute), values in sorted(by_attribute.items()):
            plan = self._plans[experiment_id]
            plan.values[attribute] = await segments.register(connection, experiment_id, attribute, values)
            plan.looked_up.update((attribute, value) for value in values)

    async def refresh(self, connection: AsyncConnection) -> None:
        """Learn which of the experiments ended or closed since."""
        standings = await claims.load_standings(connection, self._plans)
        self._endings.learn(
            {one.experiment_id: one.phase for one in standings},
            [one.experiment_id for one in standings if one.is_stopped],
        )
        self._endings.close(one.experiment_id for one in standings if one.is_closed)

    def _plan(self, experiment: Experiment | None) -> Plan:
        if experiment is None or not isinstance(experiment.definition, ABTestDefinition):
            return Plan()
        definition = experiment.definition
        columns = self._columns.setdefault(definition.columns, definition.columns)
        return Plan(columns, tuple(segment.attribute for segment in definition.segments))

    def _learn(self, found: Iterable[Experiment]) -> None:
        known = list(found)
        self._endings.learn(
            {one.experiment_id: one.phase for one in known},
            [one.experiment_id for one in known if one.status == "stopped"],
        )


def attribute_value(attributes: dict[str, str], attribute: str) -> str | None:
    """Return a request's value of an attribute, as it can be stored; None where it has none.

    One that reads as the segment of all others is stored in quotes.
    """
    value = attributes.get(attribute)
    if not value:
        return None
    return f'"{OTHER}"' if value == OTHER else value.replace("\x00", "�")[:LONGEST_VALUE]
