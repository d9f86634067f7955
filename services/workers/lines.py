"""Where outcomes count, worked out once for all that have the same route, variant and assignments.

A *line* is a place where an outcome counts: one variant of one experiment and phase, in one partition. A
*group* is the route and variant that served, and the lines of the assignments.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count
from uuid import UUID
from weakref import WeakValueDictionary

from services.domain.assignment import BASIS_POINTS
from services.domain.bucket_table import WHOLE, share_segment
from services.domain.events import AssignedTo, Role
from services.domain.status import OutcomeStatus, is_error
from services.storage.exposures import ExposedTo
from services.workers.latencies import LatencyWindow
from services.workers.ledgers import request_bit
from services.workers.unit_ledgers import UnitLedger

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
        "assigned",
        "experiment_id",
        "is_control",
        "ledger",
        "partition",
        "phase",
        "request_bit",
        "role",
        "row",
        "segment",
        "share_bp",
        "twice",
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
        is_test = assigned.variant_index >= 0
        self.segment = WHOLE if is_test else share_segment(self.share_bp)
        """Where its sums belong: a test's to all of it, a canary's to the share that the treatment had."""
        self.is_control = assigned.role is Role.CONTROL
        self.role = assigned.role.label
        self.row = row_of((assigned.experiment_id, self.phase, self.share_bp, self.role, self.variant_number))
        """Lines of the same row are one row of ``experiment_counts``."""
        self.ledger = ledger
        self.request_bit = request_bit(self.variant_number)
        self.twice = MULTIPLY_EXPOSED if is_test else MOVED
        """The mark of a unit that was served another variant before."""
        self.window = window

    def exposed_to(self, variant_key: str) -> ExposedTo:
        """Return what a unit is exposed to here that was served by this variant."""
        return ExposedTo(
            self.experiment_id,
            self.phase,
            self.role,
            self.variant_number,
            variant_key,
            self.assigned.propensity_bp / BASIS_POINTS,
        )


class Group:
    """Outcomes of one kind in one partition. ``late`` are the assignments that outcomes come late for."""

    __slots__ = ("late", "lines", "partition", "route_key", "row", "variant_key")

    def __init__(
        self,
        partition: int,
        route_key: str,
        variant_key: str,
        lines: tuple[Line, ...],
        late: tuple[AssignedTo, ...],
    ) -> None:
        self.partition = partition
        self.route_key = route_key
        self.variant_key = variant_key
        self.lines = lines
        self.late = late
        self.row = row_of((route_key, variant_key))
        """Groups of the same row are one row of ``route_counts``."""
