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
from sys import intern
from uuid import UUID

import msgspec

from services.domain.assignment import BASIS_POINTS, hash64
from services.domain.events import AssignedTo, Feedback, UnitSource
from services.domain.metric import FEEDBACK_SCALE
from services.domain.status import OutcomeStatus
from services.messaging.codec import DecodedRecord, decode_assignments
from services.storage.counting import QualityKind
from services.storage.exposures import Exposure
from services.workers.endings import Endings
from services.workers.latencies import LatencyWindow
from services.workers.lines import FIRST_REQUEST, Group, Line
from services.workers.observations import Observations, Report
from services.workers.units import FEEDBACK, UnitLedger, true_event

LedgerKey = tuple[UUID, int]
"""(experiment id, phase)."""

GROUPS_KEPT = 50_000
"""Beyond this many the groups are forgotten and found anew: their lines stay what they are."""
LARGEST_SCORE = 1e9

Problem = tuple[int, str]
"""Index of an outcome or report, and why it cannot be counted."""
Quality = Counter[tuple[UUID, int, QualityKind]]


@dataclass(slots=True)
class Memory:
    """Next sequence numbers, units and latencies of one partition, as they are at one offset."""

    partition: int
    sequences: dict[UUID, int]
    ledgers: dict[LedgerKey, UnitLedger]
    endings: Endings
    _windows: dict[LedgerKey, LatencyWindow] = field(default_factory=dict)
    _lines: dict[AssignedTo, Line] = field(default_factory=dict)
    _groups: dict[tuple[str, str, bytes], Group] = field(default_factory=dict)
    _stamp: object = None
    _stamped: tuple[Observations, int] | None = None
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
        self,
        batch: DecodedRecord,
        first: int,
        gathered: Observations,
        tick: int,
        *,
        timestamp_ms: int = 0,
        exposures: list[Exposure] | None = None,
    ) -> list[Problem]:
        """Gather a batch's outcomes from index ``first`` on; return those that cannot be counted."""
        problems: list[Problem] = []
        stamp, groups = self._begin(gathered, tick), self._groups
        start = bisect_left(batch.indices, first)
        note_outcome, note_group = gathered.outcomes.append, gathered.groups.append
        note_mark, note_ledger = gathered.marks.append, gathered.grown.add
        fine, by_request = OutcomeStatus.OK, UnitSource.REQUEST
        for place, outcome in enumerate(batch.outcomes[start:] if start else batch.outcomes, start):
            key = (outcome.route_key, outcome.variant_key, bytes(outcome.assignments))
            group = groups.get(key)
            if group is None:
                group = self._new_group(key)
            if group.stamp is not stamp:
                if group.problem is not None:
                    problems.append((batch.indices[place], group.problem))
                    continue
                gathered.open(group, stamp, tick)
            note_outcome(outcome)
            note_group(group.number)
            if (
                outcome.unit_hash in group.seen
                and outcome.status is fine
                and outcome.unit_source is not by_request
            ):
                note_mark(0)
                continue
            for line in group.lines:
                if (
                    outcome.status is fine
                    and outcome.unit_hash in line.seen
                    and outcome.unit_source is not by_request
                ):
                    note_mark(0)
                    continue
                mark = line.mark(outcome, tick)
                note_mark(mark)
                if mark:
                    note_ledger(line)
                if mark & FIRST_REQUEST and exposures is not None and outcome.unit_source is not by_request:
                    to = line.exposed_to(outcome.variant_key)
                    exposures.append(Exposure(to, outcome.unit_hash, tick, timestamp_ms))
        gathered.settle()
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

    def _report(self, one: Feedback, assigned: AssignedTo, gathered: Observations, quality: Quality) -> None:
        experiment_id, phase = assigned.experiment_id, assigned.phase
        if self.endings.is_late(experiment_id, phase):
            quality[experiment_id, phase, "late_feedback"] += 1
            if self.endings.is_closed(experiment_id):
                return
        line = self._line(assigned)
        gathered.grown.add(line)
        if not line.ledger.of(FEEDBACK).add(hash64(one.name, one.event_id)):
            quality[experiment_id, phase, "duplicate_feedback"] += 1
            return
        quality[experiment_id, phase, "feedback"] += 1
        is_true = one.value == 1
        is_first_true = is_true and line.ledger.of(true_event(one.name)).add(one.unit_hash)
        micros = round(one.value * FEEDBACK_SCALE)
        gathered.reports.append(Report(line, one.unit_hash, one.name, micros, is_first_true, one.attributes))

    def _begin(self, gathered: Observations, tick: int) -> object:
        if self._version != self.endings.version:
            self._version = self.endings.version
            self._forget_closed()
        if len(self._groups) > GROUPS_KEPT:
            self._groups.clear()
        if self._stamped is None or self._stamped[0] is not gathered or self._stamped[1] != tick:
            self._stamp, self._stamped = object(), (gathered, tick)
        return self._stamp

    def _forget_closed(self) -> None:
        self._groups.clear()
        self._stamped = None
        for key in [key for key in self.ledgers if self.endings.is_closed(key[0])]:
            self._lines = {one: line for one, line in self._lines.items() if one.experiment_id != key[0]}
            del self.ledgers[key]
            self._windows.pop(key, None)

    def _new_group(self, key: tuple[str, str, bytes]) -> Group:
        route_key, variant_key, raw = key
        try:
            assignments = decode_assignments(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            group = Group(route_key, variant_key, problem=f"not assignments: {error}")
        else:
            late = tuple(one for one in assignments if self.endings.is_late(one.experiment_id, one.phase))
            open_ones = [one for one in assignments if not self.endings.is_closed(one.experiment_id)]
            problem = _assignment_problem(assignments)
            lines = () if problem else tuple(self._line(one) for one in open_ones)
            group = Group(route_key, variant_key, lines, late=late, problem=problem)
        # The same route's key is the same text in all of its groups, and is looked at for each outcome.
        self._groups[intern(route_key), intern(variant_key), raw] = group
        return group

    def _line(self, assigned: AssignedTo) -> Line:
        line = self._lines.get(assigned)
        if line is None:
            key = (assigned.experiment_id, assigned.phase)
            ledger = self.ledgers.setdefault(key, UnitLedger())
            window = self._windows.setdefault(key, LatencyWindow())
            line = self._lines[assigned] = Line(self.partition, assigned, ledger, window)
        return line


def _assignment_problem(assignments: Sequence[AssignedTo]) -> str | None:
    for assigned in assignments:
        if not 0 < assigned.propensity_bp < BASIS_POINTS:
            return (
                f"propensity {assigned.propensity_bp} of {BASIS_POINTS}: a unit that could not have got the "
                "other variant is not randomised and must carry no assignment"
            )
    return None


def _feedback_problem(feedback: Feedback) -> str | None:
    if feedback.unit_hash < 0:
        return f"unit_hash {feedback.unit_hash} is not a 64-bit number"
    if not (math.isfinite(feedback.value) and abs(feedback.value) <= LARGEST_SCORE):
        return f"a value of {feedback.value} is no score; it must lie within ±{LARGEST_SCORE:g}"
    return _assignment_problem(feedback.assignments)
