"""Decides about requests, books what they take, and settles what they took. Neither Kafka nor a clock.

A request is booked in every scope it falls under, or in none. ``now`` is monotonic time in seconds, ``day``
the number of the UTC day since 1970-01-01.
"""

from __future__ import annotations

from services.domain.escrow import Standing, Verdict
from services.domain.sliding_window import SLOTS_PER_SECOND, SPAN, Slot
from services.gateway.limiting.claims import Claim, Doubt, Later
from services.gateway.limiting.estimates import Cost
from services.gateway.limiting.meters import Meter, Meters
from services.gateway.limiting.plans import Plan, Scope
from services.gateway.limiting.refusals import (
    WHOLE_WINDOW,
    LimitReached,
    Quantity,
    lines_of,
    never_fits,
    refused,
)

CONCURRENCY_RETRY_SECONDS = 1.0
DAY_SECONDS = 86_400


class Item:
    """What one request holds of one scope."""

    __slots__ = ("meter", "scope", "slot")

    def __init__(self, meter: Meter, scope: Scope, slot: Slot) -> None:
        self.meter = meter
        self.scope = scope
        self.slot = slot


class Reservation:
    """What a request holds until it is settled, which happens exactly once."""

    __slots__ = ("claim", "cost", "day", "items", "plan", "settled")

    def __init__(self, plan: Plan, items: list[Item], cost: Cost, day: int) -> None:
        self.plan = plan
        self.items = items
        self.cost = cost
        self.day = day
        self.claim: Claim | None = None
        """Set where it is not decided yet whether the request is admitted."""
        self.settled = False


class Ledger:
    """All scopes' use, and the rules for using more."""

    def __init__(self, standing: Standing, most_meters: int) -> None:
        self.standing = standing
        self.meters = Meters(most_meters)
        self.changed: list[Meter] = []
        """Whom the others are to be told about."""
        self.claims: list[Claim] = []
        """Those not decided yet, oldest first."""
        self.held = 0
        """Reservations that are not settled."""

    def reserve(  # noqa: C901, PLR0912 - the hot path, see below
        self, plan: Plan, unit_hash: int | None, cost: Cost, now: float, day: float
    ) -> Reservation:
        """Book a request, or raise LimitReached. ``day`` may have a fraction.

        Where the reservation has a ``claim``, whether the request is admitted is for the log to decide.
        """
        number, today = int(now * SLOTS_PER_SECOND), int(day)
        standing, by_scope = self.standing, self.meters.by_scope
        divisor = standing.divisor
        tokens = cost.prompt + cost.completion
        doubts: list[Doubt] | None = None
        items: list[Item] = []
        scopes = plan.scopes
        if unit_hash is not None and plan.unit is not None:
            scopes = (*scopes, plan.unit)
        for scope in scopes:
            key = scope.number if scope is not plan.unit else scope.number ^ (unit_hash or 0)
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
                    doubts = self._judge(meter, scope, "requests_per_minute", 1, now, day, doubts)
            limit = scope.tokens
            if limit is not None:
                heard = meter.heard_tokens
                if (meter.tokens - heard + tokens) * divisor > limit - heard or meter.tokens + tokens > limit:
                    doubts = self._judge(meter, scope, "tokens_per_minute", tokens, now, day, doubts)
            limit = scope.concurrency
            if limit is not None:
                heard = meter.heard_in_flight + meter.others_in_flight
                used = meter.in_flight + meter.others_in_flight
                if (used - heard + 1) * divisor > limit - heard or used >= limit:
                    doubts = self._judge(meter, scope, "concurrency", 1, now, day, doubts)
            if scope.counts_day:
                doubts = self._judge_day(meter, scope, cost, tokens, now, day, doubts)
            items.append(Item(meter, scope, _NO_SLOT))
        for item in items:
            self._book(item, cost, tokens, today)
        self.held += 1
        reservation = Reservation(plan, items, cost, today)
        if doubts is not None:
            reservation.claim = Claim(doubts, reservation)
            self.claims.append(reservation.claim)
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
        for item in reservation.items:
            meter, scope, slot = item.meter, item.scope, item.slot
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
        for item in reservation.items:
            meter, scope = item.meter, item.scope
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

    def hear_claims(self, beat: int, offset: int) -> None:
        """One of our beats is heard, and all before it: decide the claims that it told, where possible."""
        later = Later(self.claims)
        for claim in [one for one in self.claims if one.beat is not None and one.beat <= beat]:
            later.has_come(claim)
            if claim.offset is not None:
                continue
            claim.offset = offset
            if not all(self._within(doubt, later) for doubt in claim.doubts):
                self._decide(claim, granted=False)
            elif all(self._surely_within(doubt, later) for doubt in claim.doubts):
                self._decide(claim, granted=True)

    def decide_answered(self, seen_by_all: int) -> None:
        """All others have told what they admitted before they heard up to an offset: decide what waited."""
        answered = [
            claim for claim in self.claims if claim.offset is not None and claim.offset <= seen_by_all
        ]
        later = Later(self.claims)
        for claim in answered:
            later.has_come(claim)
            self._decide(claim, granted=all(self._within(doubt, later) for doubt in claim.doubts))

    def needs_answers(self) -> bool:
        """Say whether a claim that is about to be told cannot be decided by its place alone."""
        later = Later(self.claims)
        asks = False
        for claim in self.claims:
            later.has_come(claim)
            if not all(self._surely_within(doubt, later) for doubt in claim.doubts):
                asks = True
        return asks

    def give_up(self, claim: Claim) -> None:
        """The log takes too long: whoever hears it may be granted what was claimed, so we are not."""
        if claim in self.claims:
            self._decide(claim, granted=False)

    def refusal_of(self, claim: Claim, now: float, day: float) -> LimitReached:
        """Return the error for a claim that was not granted."""
        doubt = claim.doubts[0]
        return self._refusal(doubt.meter, doubt.scope, doubt.quantity, doubt.cost, now, day)

    def cancel(self, reservation: Reservation) -> None:
        """The request is not made after all."""
        self.settle(reservation, 0, 0, request=False)
        if reservation.claim in self.claims:
            self.claims.remove(reservation.claim)

    def note_changed(self, meter: Meter) -> None:
        """The others are to be told about a meter."""
        if not meter.changed:
            meter.changed = True
            self.changed.append(meter)

    def _decide(self, claim: Claim, *, granted: bool) -> None:
        self.claims.remove(claim)
        if not granted:
            # At once: the next claim is judged without it.
            self.settle(claim.reservation, 0, 0, request=False)
        claim.decide(granted=granted)

    def _within(self, doubt: Doubt, later: Later) -> bool:
        used, _ = use_of(doubt.meter, doubt.quantity)
        return used - later.of(doubt) <= limit_of(doubt.scope, doubt.quantity)

    def _surely_within(self, doubt: Doubt, later: Later) -> bool:
        used, _ = use_of(doubt.meter, doubt.quantity)
        limit = limit_of(doubt.scope, doubt.quantity)
        # What each of the others may admit at once, for all it knows.
        replicas = self.standing.replicas
        untold = (replicas - 1) * (max(limit - used + later.all(doubt), 0) // (2 * replicas))
        return used - later.of(doubt) + untold <= limit

    def _book(self, item: Item, cost: Cost, tokens: int, today: int) -> None:
        meter, scope = item.meter, item.scope
        meter.in_flight += 1
        item.slot = slot = meter.take(1, tokens if scope.counts_tokens else 0)
        if scope.concurrency is not None:
            meter.tells_in_flight = True
        if scope.counts_day:
            meter.today(today).take(tokens, cost.nanos)
        if not slot.waiting:
            slot.waiting = True
            meter.waiting.append(slot)
        if not meter.changed:
            meter.changed = True
            self.changed.append(meter)

    def _judge_day(
        self,
        meter: Meter,
        scope: Scope,
        cost: Cost,
        tokens: int,
        now: float,
        day: float,
        doubts: list[Doubt] | None,
    ) -> list[Doubt] | None:
        today, divisor = meter.today(int(day)), self.standing.divisor
        limit, heard = scope.day_tokens, today.heard_tokens
        # A budget that is overdrawn is exhausted even for what costs nothing that is known beforehand.
        if limit is not None and (
            (today.tokens - heard + tokens) * divisor > limit - heard
            or today.tokens + tokens > limit
            or today.tokens >= limit
        ):
            doubts = self._judge(meter, scope, "tokens_per_day", max(tokens, 1), now, day, doubts)
        limit, heard = scope.day_nanos, today.heard_nanos
        if limit is not None and (
            (today.nanos - heard + cost.nanos) * divisor > limit - heard
            or today.nanos + cost.nanos > limit
            or today.nanos >= limit
        ):
            doubts = self._judge(meter, scope, "dollars_per_day", max(cost.nanos, 1), now, day, doubts)
        return doubts

    def _judge(
        self,
        meter: Meter,
        scope: Scope,
        quantity: Quantity,
        cost: int,
        now: float,
        day: float,
        doubts: list[Doubt] | None,
    ) -> list[Doubt] | None:
        limit = limit_of(scope, quantity)
        if cost > limit:
            raise never_fits(scope, quantity, cost, limit)
        used, heard = use_of(meter, quantity)
        verdict = self._verdict(quantity, meter, used, heard, cost, limit)
        if verdict is Verdict.REFUSE:
            raise self._refusal(meter, scope, quantity, cost, now, day)
        if verdict is Verdict.CLAIM:
            doubts = [] if doubts is None else doubts
            doubts.append(Doubt(meter, scope, quantity, cost))
        return doubts

    def _verdict(
        self, quantity: Quantity, meter: Meter, used: int, heard: int, cost: int, limit: int
    ) -> Verdict:
        standing = self.standing
        if quantity == "concurrency" and not standing.together:
            # What others have under way is not known any more.
            fits = meter.in_flight + cost <= standing.part_of(limit)
            return Verdict.ADMIT if fits else Verdict.REFUSE
        return standing.judge(used, heard, cost, limit)

    def _refusal(
        self, meter: Meter, scope: Scope, quantity: Quantity, cost: int, now: float, day: float
    ) -> LimitReached:
        limit, standing = limit_of(scope, quantity), self.standing
        used, heard = use_of(meter, quantity)
        left = standing.allowance(used, heard, limit)
        wait = self._wait(meter, scope, quantity, cost, now, day)
        return refused(scope, quantity, limit, left, wait, 0 if standing.together else standing.replicas)

    def _wait(
        self, meter: Meter, scope: Scope, quantity: Quantity, cost: int, now: float, day: float
    ) -> float:
        """Return in how many seconds the request would fit, if nobody else asked."""
        if quantity == "concurrency":
            return CONCURRENCY_RETRY_SECONDS
        if quantity not in _OF_SLOTS:
            return (1 - day % 1) * DAY_SECONDS
        of_tokens = quantity == "tokens_per_minute"
        limit, standing = limit_of(scope, quantity), self.standing
        used, heard = use_of(meter, quantity)
        if standing.judge(used, heard, cost, limit) is not Verdict.REFUSE:
            # It was claimed, and somebody else's claim was first, or nobody decided.
            return 1 / SLOTS_PER_SECOND
        for slot in meter.slots_from_oldest():
            used -= slot.tokens if of_tokens else slot.requests
            heard -= slot.heard_tokens if of_tokens else slot.heard_requests
            if standing.judge(used, heard, cost, limit) is not Verdict.REFUSE:
                return max((slot.number + SPAN + 1) / SLOTS_PER_SECOND - now, 0.0)
        return 1 / SLOTS_PER_SECOND


_NO_SLOT = Slot(0)
_OF_SLOTS = frozenset({"requests_per_minute", "tokens_per_minute"})


def limit_of(scope: Scope, quantity: Quantity) -> int:
    """Return a limit that the scope has."""
    limits = {
        "requests_per_minute": scope.requests,
        "tokens_per_minute": scope.tokens,
        "concurrency": scope.concurrency,
        "tokens_per_day": scope.day_tokens,
        "dollars_per_day": scope.day_nanos,
    }
    return limits[quantity] or 0


def use_of(meter: Meter, quantity: Quantity) -> tuple[int, int]:
    """Return what is known to be used, and what of it is heard."""
    if quantity == "requests_per_minute":
        return meter.requests, meter.heard_requests
    if quantity == "tokens_per_minute":
        return meter.tokens, meter.heard_tokens
    if quantity == "concurrency":
        others = meter.others_in_flight
        return meter.in_flight + others, meter.heard_in_flight + others
    if meter.day is None:
        return 0, 0
    if quantity == "tokens_per_day":
        return meter.day.tokens, meter.day.heard_tokens
    return meter.day.nanos, meter.day.heard_nanos
