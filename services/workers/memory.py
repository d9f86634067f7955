"""What the owner of a partition remembers at one place of its log, and what it makes of what comes next.

A pure function of the records, in order: the counts and, a little behind them, the bucket sums are decided by
the same code from the same knowledge.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from services.domain.assignment import hash64
from services.domain.bucket_table import Integers
from services.domain.events import AssignedTo, Feedback
from services.domain.metric import FEEDBACK_SCALE, LARGEST_REPORTED
from services.messaging.codec import DecodedRecord
from services.storage.counting import QualityKind
from services.workers.directory import Directory
from services.workers.endings import Endings
from services.workers.kinds import Kind, Kinds, assignment_problem
from services.workers.latencies import LatencyWindow
from services.workers.ledgers import FEEDBACK, Ledgers, true_event
from services.workers.lines import Group, Line
from services.workers.observations import Observations, Report
from services.workers.unit_ledgers import LedgerKey

GROUPS_KEPT = 50_000
"""Beyond this many the groups are forgotten and found anew: their lines stay what they are."""

Problem = tuple[int, str]
"""Index of an outcome or report, and why it cannot be counted."""
Quality = Counter[tuple[UUID, int, QualityKind]]


@dataclass(slots=True, eq=False)
class Memory:
    """Next sequence numbers, units and latencies of one partition, as they are at one offset."""

    partition: int
    sequences: dict[UUID, int]
    ledgers: Ledgers
    endings: Endings
    _windows: dict[LedgerKey, LatencyWindow] = field(default_factory=dict)
    _lines: dict[AssignedTo, Line] = field(default_factory=dict)
    _directory: Directory = field(default_factory=Directory)
    _version: int = 0

    def first_new(self, batch: DecodedRecord) -> tuple[int, int]:
        """Return how many of the batch's outcomes came before, and how many are missing before it."""
        if batch.gateway is None:
            return 0, 0
        expected = self.sequences.get(batch.gateway, 0)
        self.sequences[batch.gateway] = max(expected, batch.first_sequence + batch.length)
        repeated = min(max(expected - batch.first_sequence, 0), batch.length)
        return repeated, max(batch.first_sequence - expected, 0)

    def observe(
        self, batch: DecodedRecord, first: int, gathered: Observations, tick: int, *, timestamp_ms: int = 0
    ) -> list[Problem]:
        """Gather a batch's outcomes from index ``first`` on; return those that cannot be counted."""
        start = bisect_left(batch.indices, first)
        outcomes = batch.outcomes[start:] if start else batch.outcomes
        kinds, known = gathered.kinds.of(outcomes), gathered.kinds
        problems: list[Problem] = []
        if not known.problems.isdisjoint(kinds):
            fine = [place for place, kind in enumerate(kinds) if kind not in known.problems]
            problems = [
                (batch.indices[start + place], known.known[kind].problem or "")
                for place, kind in enumerate(kinds)
                if kind in known.problems
            ]
            outcomes, kinds = [outcomes[place] for place in fine], [kinds[place] for place in fine]
        if outcomes:
            gathered.gather(self, tick, timestamp_ms, outcomes, kinds)
        return problems

    def observe_feedback(
        self, feedback: Sequence[tuple[int, Feedback]], gathered: Observations, quality: Quality
    ) -> list[Problem]:
        """Gather reports; return those that cannot be counted."""
        problems: list[Problem] = []
        for index, one in feedback:
            problem = _feedback_problem(one)
            if problem is not None:
                problems.append((index, problem))
                continue
            for assigned in one.assignments:
                self._report(one, assigned, gathered, quality)
        return problems

    def find(self, kinds: Kinds, numbers: Integers) -> tuple[Directory, Integers]:
        """Return where outcomes of these kinds count: a directory, and the groups' numbers there."""
        if self._version != self.endings.version:
            self._version = self.endings.version
            self._forget_closed()
        if len(self._directory.groups) > GROUPS_KEPT:
            self._directory = Directory()
        directory = self._directory
        found = directory.find(kinds, numbers)
        for at in np.flatnonzero(found < 0).tolist():
            kind = int(numbers[at])
            found[at] = directory.add(kind, self._new_group(kinds.known[kind]))
        return directory, found

    def _report(self, one: Feedback, assigned: AssignedTo, gathered: Observations, quality: Quality) -> None:
        experiment_id, phase = assigned.experiment_id, assigned.phase
        if self.endings.is_late(experiment_id, phase):
            quality[experiment_id, phase, "late_feedback"] += 1
            if self.endings.is_closed(experiment_id):
                return
        line = self._line(assigned)
        gathered.involve(self)
        if not self.ledgers.report(line.ledger, FEEDBACK, hash64(one.name, one.event_id)):
            quality[experiment_id, phase, "duplicate_feedback"] += 1
            return
        quality[experiment_id, phase, "feedback"] += 1
        is_true = one.value == 1
        is_first_true = is_true and self.ledgers.report(line.ledger, true_event(one.name), one.unit_hash)
        micros = round(one.value * FEEDBACK_SCALE)
        gathered.reports.append(Report(line, one.unit_hash, one.name, micros, is_first_true, one.attributes))

    def _forget_closed(self) -> None:
        self._directory = Directory()
        closed = [key for key in self.ledgers if self.endings.is_closed(key[0])]
        if closed:
            gone = {experiment_id for experiment_id, _ in closed}
            self._lines = {one: line for one, line in self._lines.items() if one.experiment_id not in gone}
            for key in closed:
                self._windows.pop(key, None)
            self.ledgers.forget(closed)

    def _new_group(self, kind: Kind) -> Group:
        late = tuple(one for one in kind.assignments if self.endings.is_late(one.experiment_id, one.phase))
        open_ones = [one for one in kind.assignments if not self.endings.is_closed(one.experiment_id)]
        lines = tuple(self._line(one) for one in open_ones)
        return Group(self.partition, kind.route_key, kind.variant_key, lines, late)

    def _line(self, assigned: AssignedTo) -> Line:
        line = self._lines.get(assigned)
        if line is None:
            key = (assigned.experiment_id, assigned.phase)
            window = self._windows.setdefault(key, LatencyWindow())
            line = self._lines[assigned] = Line(self.partition, assigned, self.ledgers.of(key), window)
        return line


def _feedback_problem(feedback: Feedback) -> str | None:
    if feedback.unit_hash < 0:
        return f"unit_hash {feedback.unit_hash} is not a 64-bit number"
    if not (math.isfinite(feedback.value) and abs(feedback.value) <= LARGEST_REPORTED):
        return f"a value of {feedback.value} is no score; it must lie within ±{LARGEST_REPORTED:,}"
    return assignment_problem(feedback.assignments)
