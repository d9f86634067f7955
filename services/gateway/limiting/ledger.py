"""Books what requests take, and settles what they took. Neither Kafka nor a clock.

A request is booked in every scope it falls under, or in none. ``now`` is monotonic time in seconds, ``day``
the number of the UTC day since 1970-01-01.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from services.domain.escrow import Standing
from services.domain.sliding_window import SLOTS_PER_SECOND, Slot
from services.gateway.limiting.claims import Claim, Doubt
from services.gateway.limiting.docket import Docket
from services.gateway.limiting.estimates import Cost
from services.gateway.limiting.heads import WHOLE_WINDOW, lines_of
from services.gateway.limiting.judging import Judge
from services.gateway.limiting.meters import Meter, Meters
from services.gateway.limiting.plans import Plan, Scope


class Reservation:
    """What a request holds until it is settled, which happens exactly once.

    For each of the ``scopes`` it falls under: what meters it, and the slot that it is booked in.
    """

    __slots__ = ("claim", "cost", "day", "meters", "plan", "scopes", "settled", "slots")

    def __init__(
        self, plan: Plan, scopes: tuple[Scope, ...], meters: list[Meter], cost: Cost, day: int
    ) -> None:
        self.plan = plan
        self.scopes = scopes
        self.meters = meters
        self.slots: list[Slot] = []
        self.cost = cost
        self.day = day
        self.claim: Claim | None = None
        """Set where it is not decided yet whether the request is admitted."""
        self.settled = False


class Ledger:
    """All scopes' use, and the rules for using more."""

    def __init__(
        self, standing: Standing, most_meters: int, lasting: Callable[[], Set[int]] = frozenset
    ) -> None:
        self.standing = standing
        self.meters = Meters(most_meters, lasting)
        self.changed: list[Meter] = []
        """Whom the others are to be told about."""
        self.judge = Judge(standing)
        self.docket = Docket(self.judge, self._release)
        self.held = 0
        """Reservations that are not settled."""

    def reserve(  # noqa: C901 - the hot path, see below
        self, plan: Plan, unit_hash: int | None, cost: Cost, now: float, day: float
    ) -> Reservation:
        """Book a request, or raise LimitReached. ``day`` may have a fraction.

        Where the reservation has a ``claim``, whether the request is admitted is for the log to decide.
        """
        number, today = int(now * SLOTS_PER_SECOND), int(day)
        judge, by_scope = self.judge, self.meters.by_scope
        divisor = self.standing.divisor
        tokens, nanos = cost.prompt + cost.completion, cost.nanos
        doubts: list[Doubt] | None = None
        meters: list[Meter] = []
        unit = plan.unit
        scopes = plan.scopes if unit is None or unit_hash is None else plan.with_unit
        for scope in scopes:
            key = scope.number if scope is not unit else scope.number ^ (unit_hash or 0)
            meter = by_scope.get(key)
            if meter is None:
                meter = self.meters.begin(key, number)
            elif meter.number < number:
                meter.turn_to(number)
            # The quick check of each limit is written out: calls would cost more than the rest together.
            limit = scope.requests
            if limit is not None:
                heard = meter.heard_requests
                if (meter.requests - heard + 1) * divisor > limit - heard or meter.requests >= limit:
                    doubts = judge.judge(meter, scope, "requests_per_minute", 1, now, day, doubts)
            limit = scope.tokens
            if limit is not None:
                heard = meter.heard_tokens
                if (meter.tokens - heard + tokens) * divisor > limit - heard or meter.tokens + tokens > limit:
                    doubts = judge.judge(meter, scope, "tokens_per_minute", tokens, now, day, doubts)
            limit = scope.concurrency
            if limit is not None:
                heard = meter.heard_in_flight + meter.others_in_flight
                used = meter.in_flight + meter.others_in_flight
                if (used - heard + 1) * divisor > limit - heard or used >= limit:
                    doubts = judge.judge(meter, scope, "concurrency", 1, now, day, doubts)
            if scope.counts_day and meter.today(today).is_short(scope, tokens, nanos, divisor):
                doubts = judge.judge_day(meter, scope, tokens, nanos, now, day, doubts)
            meters.append(meter)
        reservation = Reservation(plan, scopes, meters, cost, today)
        slots = reservation.slots
        for place, scope in enumerate(scopes):
            slots.append(self._book(scope, meters[place], tokens, nanos, today))
        self.held += 1
        if doubts is not None:
            reservation.claim = Claim(doubts, reservation)
            self.docket.claims.append(reservation.claim)
        return reservation

    def settle(self, reservation: Reservation, tokens: int, nanos: int, *, request: bool = True) -> None:
        """The request is over, and took so much. ``request`` False: it was not made at all."""
        if reservation.settled:
            return
        reservation.settled = True
        self.held -= 1
        cost = reservation.cost
        more_tokens = tokens - cost.prompt - cost.completion
        more_nanos = nanos - cost.nanos
        meters, slots = reservation.meters, reservation.slots
        for place, scope in enumerate(reservation.scopes):
            meter, slot = meters[place], slots[place]
            meter.in_flight -= 1
            change = more_tokens if scope.counts_tokens else 0
            if change or not request:
                meter.change(slot, 0 if request else -1, change)
                if not slot.waiting:
                    slot.waiting = True
                    meter.waiting.append(slot)
            elif not (scope.counts_day or meter.tells_in_flight):
                continue
            if scope.counts_day and meter.day is not None and meter.day.number == reservation.day:
                meter.day.take(more_tokens, more_nanos)
            if not meter.changed:
                meter.changed = True
                self.changed.append(meter)

    def fields(self, reservation: Reservation) -> bytes:
        """Return the lines that tell the tightest of the request's limits."""
        standing = self.standing
        requests: tuple[int, int] | None = None
        tokens: tuple[int, int] | None = None
        meters = reservation.meters
        for place, scope in enumerate(reservation.scopes):
            meter = meters[place]
            limit = scope.requests
            if limit is not None:
                left = (
                    limit - meter.requests
                    if standing.together
                    else standing.allowance(meter.requests, meter.heard_requests, limit)
                )
                if requests is None or left < requests[0]:
                    requests = left, limit
            limit = scope.tokens
            if limit is not None:
                left = (
                    limit - meter.tokens
                    if standing.together
                    else standing.allowance(meter.tokens, meter.heard_tokens, limit)
                )
                if tokens is None or left < tokens[0]:
                    tokens = left, limit
        lines = b""
        if requests is not None:
            lines = lines_of("requests", requests[1], max(requests[0], 0), WHOLE_WINDOW)
        if tokens is not None:
            lines += lines_of("tokens", tokens[1], max(tokens[0], 0), WHOLE_WINDOW)
        return lines

    def cancel(self, reservation: Reservation) -> None:
        """The request is not made after all."""
        self._release(reservation)
        if reservation.claim is not None:
            self.docket.withdraw(reservation.claim)

    def note_changed(self, meter: Meter) -> None:
        """The others are to be told about a meter."""
        if not meter.changed:
            meter.changed = True
            self.changed.append(meter)

    def _release(self, reservation: Reservation) -> None:
        self.settle(reservation, 0, 0, request=False)

    def _book(self, scope: Scope, meter: Meter, tokens: int, nanos: int, today: int) -> Slot:
        meter.in_flight += 1
        slot = meter.take(1, tokens if scope.counts_tokens else 0)
        if scope.concurrency is not None:
            meter.tells_in_flight = True
        if scope.counts_day:
            meter.today(today).take(tokens, nanos)
        if not slot.waiting:
            slot.waiting = True
            meter.waiting.append(slot)
        if not meter.changed:
            meter.changed = True
            self.changed.append(meter)
        return slot
