"""What outcomes with the same route, variant and assignments have in common, worked out once for all of them.

A *line* is a place where an outcome counts: one variant of one experiment and phase, in one partition. A
*group* is the route and variant that served, and the lines of the assignments.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.domain.assignment import BASIS_POINTS
from services.domain.events import AssignedTo, Role, UnitSource
from services.domain.status import OutcomeStatus, is_error
from services.messaging.codec import OutcomeView
from services.storage.counting import Exposure
from services.workers.latencies import LatencyWindow
from services.workers.units import UnitLedger, request_event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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


class Line:
    """One variant of an experiment and phase in one partition, and what is known of its units."""

    __slots__ = (
        "assigned",
        "experiment_id",
        "is_control",
        "ledger",
        "name",
        "own",
        "partition",
        "phase",
        "place",
        "role",
        "seen",
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
        self.is_control = assigned.role is Role.CONTROL
        self.role = assigned.role.label
        self.name = f"{assigned.experiment_id} {self.phase} {self.share_bp} {self.role} {self.variant_number}"
        """Lines of the same name are one row of ``experiment_counts``."""
        self.ledger = ledger
        self.own = ledger.of(request_event(self.variant_number))
        self.seen = self.own.seen
        self.window = window
        self.place: object = None
        """Where this line's sums are kept, for whoever keeps them."""

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

    def exposure(self, outcome: OutcomeView, tick: int, timestamp_ms: int) -> Exposure:
        """Return the row that says that the outcome's unit was served for the first time."""
        unit = outcome.unit_hash
        return Exposure(
            experiment_id=self.experiment_id,
            phase=self.phase,
            unit_hash=unit - (1 << 64) if unit >= 1 << 63 else unit,
            role=self.role,
            variant_index=self.variant_number,
            variant_key=outcome.variant_key,
            propensity=self.assigned.propensity_bp / BASIS_POINTS,
            tick=tick,
            exposed_at=EPOCH + timedelta(milliseconds=timestamp_ms),
        )


class Group:
    """Outcomes of one route and variant with the same assignments.

    ``late`` are the assignments that outcomes come late for. ``problem`` says why they cannot count.

    ``stamp`` and ``number`` tell where the group stands in what is being gathered at the moment.
    """

    __slots__ = ("late", "lines", "name", "number", "problem", "route_key", "stamp", "variant_key")

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
        self.name = f"{route_key}\n{variant_key}"
        """Groups of the same name are one row of ``route_counts``."""
        self.problem = problem
        self.stamp: object = None
        self.number = 0
