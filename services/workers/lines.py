"""What outcomes with the same route, variant and assignments have in common, worked out once for all of them.

A *line* is a place where an outcome counts: one variant of one experiment and phase, in one partition. A
*group* is the route and variant that served, and the lines of the assignments.
"""

from __future__ import annotations

from collections.abc import Hashable, Set
from itertools import count
from uuid import UUID
from weakref import WeakValueDictionary

from services.domain.assignment import BASIS_POINTS
from services.domain.bucket_table import WHOLE, share_segment
from services.domain.events import AssignedTo, Role, UnitSource
from services.domain.status import OutcomeStatus, is_error
from services.messaging.codec import OutcomeView
from services.storage.exposures import ExposedTo
from services.workers.latencies import LatencyWindow
from services.workers.places import Place
from services.workers.units import UnitLedger, request_event

FIRST_REQUEST = 1
FIRST_ERROR = 2
FIRST_FILTER = 4
MULTIPLY_EXPOSED = 8
MOVED = 16
"""Like MULTIPLY_EXPOSED, where it is meant: a canary's ramp moves units from the control to the treatment."""
LATENCY_SHIFT = 5
"""A mark is what is special about an outcome in a line: these bits, and above them its latency's bin."""

IS_ERROR = tuple(
    is_error(OutcomeStatus(number)) if number in OutcomeStatus.__members__.values() else False
    for number in range(max(OutcomeStatus) + 1)
)
"""By number of the status."""


_NO_UNITS: Set[int] = frozenset()


class Row:
    """A row that is counted into, as a number: numbers are quicker to compare than what names the row."""

    __slots__ = ("__weakref__", "number")

    def __init__(self) -> None:
        self.number = next(_row_numbers)


_row_numbers = count()
_rows: WeakValueDictionary[Hashable, Row] = WeakValueDictionary()


def row_of(key: Hashable) -> Row:
    """Return the row of that key, the same one as long as anybody has it."""
    row = _rows.get(key)
    if row is None:
        row = _rows[key] = Row()
    return row


class Line:
    """One variant of an experiment and phase in one partition, and what is known of its units."""

    __slots__ = (
        "_exposed_to",
        "assigned",
        "experiment_id",
        "is_control",
        "ledger",
        "own",
        "partition",
        "phase",
        "place",
        "role",
        "row",
        "seen",
        "segment",
        "share_bp",
        "variant_number",
        "window",
    )

    def __init__(
        self, partition: int, assigned: AssignedTo, ledger: UnitLedger, window: LatencyWindow
    ) -> None:
        self.partition = partition
        self.assigned = assigned
        self.experiment_id: UUID = assigned.experiment_id
        self.phase = assigned.phase
        self.variant_number = assigned.variant_number
        self.share_bp = assigned.treatment_share_bp
        self.segment = WHOLE if assigned.variant_index >= 0 else share_segment(self.share_bp)
        """Where its sums belong: a test's to all of it, a canary's to the share that the treatment had."""
        self.is_control = assigned.role is Role.CONTROL
        self.role = assigned.role.label
        self.row = row_of((assigned.experiment_id, self.phase, self.share_bp, self.role, self.variant_number))
        """Lines of the same row are one row of ``experiment_counts``."""
        self.ledger = ledger
        self.own = ledger.of(request_event(self.variant_number))
        self.seen = self.own.seen
        self.window = window
        self._exposed_to: tuple[str, ExposedTo] | None = None
        self.place: Place | None = None
        """Where this line's sums are kept."""

    def mark(self, outcome: OutcomeView, tick: int) -> int:
        """Return what is special about an outcome: what it is the first of for its unit, where it lies."""
        failed = IS_ERROR[outcome.status]
        filtered = outcome.status is OutcomeStatus.CONTENT_FILTERED
        if outcome.unit_source is UnitSource.REQUEST:
            # The unit is the request itself: every event is its first, and nothing has to be remembered.
            mark = FIRST_REQUEST | failed * FIRST_ERROR | filtered * FIRST_FILTER
        else:
            mark = self._mark_unit(outcome.unit_hash, failed=failed, filtered=filtered)
        if mark & FIRST_REQUEST and outcome.status is OutcomeStatus.OK:
            bin_number = self.window.place(outcome.latency_us, tick, is_control=self.is_control)
            mark |= bin_number << LATENCY_SHIFT
        return mark

    def _mark_unit(self, unit: int, *, failed: bool, filtered: bool) -> int:
        mark = 0
        if self.own.add(unit):
            if not self.ledger.served_another(unit, self.own):
                mark = FIRST_REQUEST
            else:
                mark = MULTIPLY_EXPOSED if self.assigned.variant_index >= 0 else MOVED
        if failed and self.ledger.of("error").add(unit):
            mark |= FIRST_ERROR
        if filtered and self.ledger.of("content_filter").add(unit):
            mark |= FIRST_FILTER
        return mark

    def exposed_to(self, variant_key: str) -> ExposedTo:
        """Return what a unit is exposed to here that was served by this variant."""
        known = self._exposed_to
        if known is None or known[0] != variant_key:
            to = ExposedTo(
                self.experiment_id,
                self.phase,
                self.role,
                self.variant_number,
                variant_key,
                self.assigned.propensity_bp / BASIS_POINTS,
            )
            known = self._exposed_to = (variant_key, to)
        return known[1]


class Group:
    """Outcomes of one route and variant with the same assignments.

    ``late`` are the assignments that outcomes come late for. ``problem`` says why they cannot count.

    ``seen`` are the units of the group's line, where it has just one; of several, no unit is in it.
    ``stamp`` and ``number`` tell where the group stands in what is being gathered at the moment.
    """

    __slots__ = ("late", "lines", "number", "problem", "route_key", "row", "seen", "stamp", "variant_key")

    def __init__(
        self,
        route_key: str,
        variant_key: str,
        lines: tuple[Line, ...] = (),
        *,
        late: tuple[AssignedTo, ...] = (),
        problem: str | None = None,
    ) -> None:
        self.route_key = route_key
        self.variant_key = variant_key
        self.lines = lines
        self.late = late
        self.row = row_of((route_key, variant_key))
        """Groups of the same row are one row of ``route_counts``."""
        self.seen: Set[int] = lines[0].seen if len(lines) == 1 else _NO_UNITS
        self.problem = problem
        self.stamp: object = None
        self.number = 0
