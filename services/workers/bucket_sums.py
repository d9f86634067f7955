"""The bucket sums in memory: where each observation belongs, and what of it has to be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from uuid import UUID

import numpy as np

from services.domain.bucket_table import Integers
from services.storage.bucket_writing import ROWS_AT_ONCE, SumsToWrite
from services.storage.buckets import STORED, BucketRow, PackedSketches, SumsKey
from services.storage.counting import QualityCount
from services.storage.segments import SegmentValue
from services.workers.cells import Cells, packed
from services.workers.columns import Columns, Opened
from services.workers.directory import Part
from services.workers.lines import Line
from services.workers.observations import Report
from services.workers.places import Place, Places
from services.workers.plans import Plan, Plans, attribute_value
from services.workers.sketches import Gathered
from services.workers.sums import NotSummed, Pairs, add_outcomes, add_report, not_summed

IDLE_SECONDS = 600.0
"""After how long sums to which nothing was added are forgotten; they are loaded again when needed."""


class BucketSums:
    """Adds observations to sums. What is lacking for that is asked for first, and loaded by the caller."""

    def __init__(self, partitions: int, plans: Plans) -> None:
        self._plans = plans
        self._places = Places(partitions)
        self._gathered = Gathered()
        self._not_summed: Counter[tuple[int, UUID, int, NotSummed]] = Counter()

    def clear(self) -> None:
        """Forget everything."""
        self._places.clear()
        self._gathered = Gathered()
        self._not_summed.clear()

    def unknown_experiments(self, columns: Columns) -> set[UUID]:
        """Return the experiments whose plans are needed."""
        return self._plans.unknown(line.experiment_id for line in self._unplaced(columns))

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
        keys = {_key(line, line.segment) for line in self._unplaced(columns)}
        keys = {key for key in keys if self._places.get(key) is None}
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
        if len(columns.groups):
            self._add_outcomes(columns, now)
        for report in columns.observations.reports:
            self._note_unless_summed(report)
            for segment in (report.line.segment, *self._segments(report.line, report.attributes)):
                place = self._places[_key(report.line, segment)]
                add_report(self._places, report, place)
                self._places.touch(np.array([place.number]), now)

    def take(self, partitions: Iterable[int]) -> list[SumsToWrite]:
        """Return what changed in these partitions since it was taken last, as it is at this moment.

        All of it has to be written, and its sketches asked for, before anything is taken again.
        """
        wanted = set(partitions)
        changed = [place for place in self._places.dirty() if place.key.partition in wanted]
        noted = self._gathered.hand_over(wanted, changed)
        taken = []
        for start in range(0, len(changed), ROWS_AT_ONCE):
            places = changed[start : start + ROWS_AT_ONCE]
            # Put together when they are packed: a thousand at a time would hold up everything else.
            sketches = cache(partial(self._sketches, places, noted[start : start + ROWS_AT_ONCE]))
            taken += [self._taken(place, sketches, number) for number, place in enumerate(places)]
        return taken

    def take_noticed(self, partitions: Iterable[int]) -> list[QualityCount]:
        """Return how many reports of these partitions are in no sum, since it was taken last."""
        wanted = set(partitions)
        noticed: Counter[tuple[UUID, int, NotSummed]] = Counter()
        for key in [key for key in self._not_summed if key[0] in wanted]:
            noticed[key[1:]] += self._not_summed.pop(key)
        return [QualityCount(*key, n) for key, n in noticed.items()]

    @property
    def bytes(self) -> int:
        """How much memory the sums take."""
        return self._places.bytes

    def forget_idle(self, now: float, largest_bytes: int) -> None:
        """Forget what is written and idle for long; beyond that much memory, what is idle longest too."""
        excess = self._places.bytes - largest_bytes
        for touched_at, place in self._places.longest_idle():
            if excess <= 0 and now - touched_at <= IDLE_SECONDS:
                return
            excess -= place.bytes
            self._places.remove(place)

    def changed(self) -> Counter[int]:
        """Return how many sums changed in each partition."""
        return Counter(place.key.partition for place in self._places.dirty())

    def _note_unless_summed(self, report: Report) -> None:
        line = report.line
        reason = not_summed(report, self._plan(line).columns)
        if reason is not None:
            self._not_summed[line.partition, line.experiment_id, line.phase, reason] += 1

    def _taken(self, place: Place, sketches: Callable[[], list[PackedSketches]], number: int) -> SumsToWrite:
        self._places.taken(place)
        return SumsToWrite(
            experiment_id=place.key.experiment_id,
            phase=place.key.phase,
            variant_index=place.key.variant_index,
            segment=place.key.segment,
            partition=place.key.partition,
            partitions=self._places.partitions,
            columns=tuple(column.key for column in place.columns),
            sums=np.array(self._places.view(place).transpose(1, 2, 0), STORED, order="C"),
            sketches=lambda: sketches()[number],
        )

    def _sketches(self, places: Sequence[Place], noted: Sequence[Cells]) -> list[PackedSketches]:
        return packed(self._places.add_cells(places, noted), len(places))

    def _add_outcomes(self, columns: Columns, now: float) -> None:
        places = self._places
        own = self._numbers(columns.opened)
        outcomes, marks, numbers = columns.pair_outcomes, columns.marks, own[columns.pair_lines]
        attributed = self._attributed_pairs(columns)
        if len(attributed):
            further, of_segments = self._segment_targets(columns, attributed)
            own = np.concatenate([own, of_segments])
            outcomes = np.concatenate([outcomes, outcomes[further]])
            marks = np.concatenate([marks, marks[further]])
            numbers = np.concatenate([numbers, of_segments])
        places.touch(own, now)
        pairs = Pairs.of(columns, outcomes, marks, numbers, places)
        shapes = np.unique(places.facts["shape"][own]).tolist()
        for shape in shapes:
            part = pairs if len(shapes) == 1 else pairs.only(places.facts["shape"][numbers] == shape)
            add_outcomes(places, self._gathered, part, places.shapes[shape])

    def _segment_targets(self, columns: Columns, attributed: Integers) -> tuple[Integers, Integers]:
        """Return the index of a pair, and the number of the segment's place that it is added to."""
        of_outcomes, lines = columns.observations.attributes, columns.opened.lines
        known: dict[tuple[int, str], int] = {}
        found = []
        for index in attributed.tolist():
            number = int(columns.pair_lines[index])
            attributes = of_outcomes.get(int(columns.pair_outcomes[index]), {})
            for segment in self._segments(lines[number], attributes):
                place = known.get((number, segment))
                if place is None:
                    place = known[number, segment] = self._places[_key(lines[number], segment)].number
                found.append((index, place))
        indices, numbers = np.array(found, np.int64).reshape(-1, 2).T
        return indices, numbers

    def _attributed(self, columns: Columns) -> Iterable[tuple[Line, dict[str, str]]]:
        """Yield the line and attributes of everything that belongs to segments too."""
        of_outcomes, lines = columns.observations.attributes, columns.opened.lines
        for index in self._attributed_pairs(columns).tolist():
            attributes = of_outcomes.get(int(columns.pair_outcomes[index]), {})
            yield lines[columns.pair_lines[index]], attributes
        for report in columns.observations.reports:
            yield report.line, report.attributes

    def _attributed_pairs(self, columns: Columns) -> Integers:
        if not columns.observations.attributes:
            return np.empty(0, np.int64)
        lines = columns.opened.lines
        has_attributes = np.array([bool(self._plan(line).attributes) for line in lines], bool)
        if not has_attributes.any():
            return np.empty(0, np.int64)
        return np.flatnonzero(has_attributes[columns.pair_lines])

    def _segments(self, line: Line, attributes: dict[str, str]) -> list[str]:
        plan = self._plan(line)
        values = [(name, attribute_value(attributes, name)) for name in plan.attributes]
        return [plan.segment(name, value) for name, value in values if value is not None]

    def _plan(self, line: Line) -> Plan:
        return self._plans[line.experiment_id]

    def _numbers(self, opened: Opened) -> Integers:
        """Return the place of each open line, by number."""
        for part in opened.parts:
            facts = part.directory.line_facts
            for number in self._lost(part):
                line = part.directory.lines[number]
                at = facts["place"][number] = self._places[_key(line, line.segment)].number
                facts["serial"][number] = self._places.facts["serial"][at]
        found = [part.directory.line_facts["place"][part.lines] for part in opened.parts]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _unplaced(self, columns: Columns) -> Iterable[Line]:
        """Yield the lines of which it is not known that their sums are in memory."""
        for part in columns.opened.parts:
            for number in self._lost(part):
                yield part.directory.lines[number]
        for report in columns.observations.reports:
            yield report.line

    def _lost(self, part: Part) -> list[int]:
        """Return the lines whose place is not known, or forgotten, by number."""
        facts = part.directory.line_facts[part.lines]
        found = self._places.facts["serial"][facts["place"]]
        lost: list[int] = part.lines[(found != facts["serial"]) | (found == 0)].tolist()
        return lost


def _key(line: Line, segment: str) -> SumsKey:
    return SumsKey(line.partition, line.experiment_id, line.phase, line.variant_number, segment)
