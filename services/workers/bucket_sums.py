"""The bucket sums in memory: where each observation belongs, and what of it has to be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, partial
from uuid import UUID

import numpy as np

from services.domain.bucket_table import WHOLE, Integers
from services.storage.bucket_writing import SumsToWrite
from services.storage.buckets import BucketRow, Sketches, SumsKey
from services.storage.segments import SegmentValue
from services.workers.cells import Cells, merged, sketches_of
from services.workers.lines import Line
from services.workers.observations import Columns, OpenLine
from services.workers.places import Place, Places
from services.workers.plans import Plan, Plans, attribute_value
from services.workers.sketches import Gathered
from services.workers.sums import Pairs, add_outcomes, add_report

IDLE_SECONDS = 600.0
"""After how long sums to which nothing was added are forgotten; they are loaded again when needed."""


class BucketSums:
    """Adds observations to sums. What is lacking for that is asked for first, and loaded by the caller."""

    def __init__(self, partitions: int, plans: Plans) -> None:
        self._plans = plans
        self._places = Places(partitions)
        self._gathered = Gathered()

    def clear(self) -> None:
        """Forget everything."""
        self._places.clear()
        self._gathered = Gathered()

    def unknown_experiments(self, columns: Columns) -> set[UUID]:
        """Return the experiments whose plans are needed."""
        return self._plans.unknown(line.experiment_id for line in _lines(columns))

    def unknown_values(self, columns: Columns) -> set[SegmentValue]:
        """Return the attributes' values that are to be looked up. The plans must be known."""
        found = set()
        for line, attributes in self._attributed(columns):
            plan = self._plans[line.experiment_id]
            for attribute in plan.attributes:
                value = attribute_value(attributes, attribute)
                if value is not None and not plan.knows(attribute, value):
                    found.add(SegmentValue(line.experiment_id, attribute, value))
        return found

    def lacking(self, columns: Columns) -> list[SumsKey]:
        """Return the sums that are not in memory. Plans and values must be known."""
        keys = {_key(line, WHOLE) for line in _lines(columns) if self._whole(line) is None}
        for line, attributes in self._attributed(columns):
            for segment in self._segments(line, attributes):
                if self._places.get(_key(line, segment)) is None:
                    keys.add(_key(line, segment))
        return list(keys)

    def load(self, keys: Iterable[SumsKey], stored: dict[SumsKey, BucketRow]) -> None:
        """Take sums into memory, with what is stored of them."""
        for key in keys:
            self._places.add(key, self._plans[key.experiment_id].columns, stored.get(key))

    def add(self, columns: Columns, now: float) -> None:
        """Add observations. Nothing may be lacking."""
        if columns.observations.outcomes:
            self._add_outcomes(columns, now)
        for report in columns.observations.reports:
            for segment in (WHOLE, *self._segments(report.line, report.attributes)):
                place = self._places[_key(report.line, segment)]
                add_report(self._places, report, place)
                place.touch(now)

    def take(self, partitions: Iterable[int]) -> list[SumsToWrite]:
        """Return what changed in these partitions since it was taken last, as it is at this moment.

        All of it has to be written, and its sketches asked for, before anything is taken again.
        """
        wanted = set(partitions)
        changed = [place for place in self._places if place.is_dirty and place.key.partition in wanted]
        noted = self._gathered.hand_over(changed)
        return [self._taken(place, cells) for place, cells in zip(changed, noted, strict=True)]

    def forget_idle(self, now: float) -> None:
        """Forget what was written and not added to for long."""
        for place in [one for one in self._places if not one.is_dirty]:
            if now - place.touched_at > IDLE_SECONDS:
                self._places.remove(place)

    def changed(self) -> Counter[int]:
        """Return how many sums changed in each partition."""
        return Counter(place.key.partition for place in self._places if place.is_dirty)

    def _taken(self, place: Place, noted: Cells) -> SumsToWrite:
        place.is_dirty = False
        return SumsToWrite(
            experiment_id=place.key.experiment_id,
            phase=place.key.phase,
            variant_index=place.key.variant_index,
            segment=place.key.segment,
            partition=place.key.partition,
            partitions=self._places.partitions,
            columns=tuple(column.key for column in place.columns),
            sums=np.ascontiguousarray(self._places.view(place).transpose(1, 2, 0)),
            # Put together when the row is packed: a thousand at a time would hold up everything else.
            sketches=cache(partial(_sketches, place, noted)),
        )

    def _add_outcomes(self, columns: Columns, now: float) -> None:
        own, indices, where = self._targets(columns)
        for place in own:
            place.touch(now)
        partitions = self._places.partitions
        pairs = Pairs.of(
            columns, columns.pair_outcomes[indices], columns.marks[indices], own, where, partitions
        )
        shapes = {id(place.columns): place.columns for place in own}
        shape_of = np.array([id(place.columns) for place in own], np.int64)
        for shape, summed in shapes.items():
            part = pairs if len(shapes) == 1 else pairs.only((shape_of == shape)[where])
            add_outcomes(self._places, self._gathered, part, summed)

    def _targets(self, columns: Columns) -> tuple[list[Place], Integers, Integers]:
        """Return places, and as arrays: the index of a pair, and the index of the place it is added to."""
        own = [self._whole_of(line) for line, _ in columns.observations.open_lines]
        indices, where = [np.arange(len(columns.pair_lines))], [columns.pair_lines]
        attributed = self._attributed_pairs(columns)
        if len(attributed):
            further = self._segment_targets(columns, attributed, own)
            indices.append(np.array([index for index, _ in further], np.int64))
            where.append(np.array([place for _, place in further], np.int64))
        return own, np.concatenate(indices), np.concatenate(where)

    def _segment_targets(
        self, columns: Columns, attributed: Integers, own: list[Place]
    ) -> list[tuple[int, int]]:
        outcomes, lines = columns.observations.outcomes, columns.observations.open_lines
        known: dict[tuple[int, str], int] = {}
        found = []
        for index in attributed.tolist():
            number = int(columns.pair_lines[index])
            attributes = outcomes[columns.pair_outcomes[index]].attributes
            for segment in self._segments(lines[number].line, attributes):
                place = known.get((number, segment))
                if place is None:
                    place = known[number, segment] = len(own)
                    own.append(self._places[_key(lines[number].line, segment)])
                found.append((index, place))
        return found

    def _attributed(self, columns: Columns) -> Iterable[tuple[Line, dict[str, str]]]:
        """Yield the line and attributes of everything that belongs to segments too."""
        outcomes, lines = columns.observations.outcomes, columns.observations.open_lines
        for index in self._attributed_pairs(columns).tolist():
            yield lines[columns.pair_lines[index]].line, outcomes[columns.pair_outcomes[index]].attributes
        for report in columns.observations.reports:
            yield report.line, report.attributes

    def _attributed_pairs(self, columns: Columns) -> Integers:
        lines: Sequence[OpenLine] = columns.observations.open_lines
        has_attributes = np.array([bool(self._plan(line).attributes) for line, _ in lines], bool)
        if not has_attributes.any():
            return np.empty(0, np.int64)
        return np.flatnonzero(has_attributes[columns.pair_lines])

    def _segments(self, line: Line, attributes: dict[str, str]) -> list[str]:
        plan = self._plan(line)
        values = [(name, attribute_value(attributes, name)) for name in plan.attributes]
        return [plan.segment(name, value) for name, value in values if value is not None]

    def _plan(self, line: Line) -> Plan:
        return self._plans[line.experiment_id]

    def _whole(self, line: Line) -> Place | None:
        place = line.place
        if not isinstance(place, Place) or not place.alive:
            place = line.place = self._places.get(_key(line, WHOLE))
        return place

    def _whole_of(self, line: Line) -> Place:
        place = self._whole(line)
        if place is None:
            raise KeyError(_key(line, WHOLE))
        return place


def _sketches(place: Place, noted: Cells) -> Sketches:
    place.cells = merged(place.cells, noted)
    return sketches_of(place.cells)


def _lines(columns: Columns) -> Iterable[Line]:
    for line, _ in columns.observations.open_lines:
        yield line
    for report in columns.observations.reports:
        yield report.line


def _key(line: Line, segment: str) -> SumsKey:
    return SumsKey(line.partition, line.experiment_id, line.phase, line.variant_number, segment)
