"""Whether so much more of a limit may be used, and what to say where it may not.

``now`` is monotonic time in seconds, ``day`` the number of the UTC day since 1970-01-01, with a fraction.
"""

from __future__ import annotations

from services.domain.escrow import Standing, Verdict
from services.domain.sliding_window import SLOTS_PER_SECOND, SPAN
from services.gateway.limiting.claims import Claim, Doubt, Later
from services.gateway.limiting.meters import Meter
from services.gateway.limiting.plans import Scope
from services.gateway.limiting.refusals import LimitReached, Quantity, never_fits, refused

CONCURRENCY_RETRY_SECONDS = 1.0
DAY_SECONDS = 86_400


class Judge:
    """Goes by how this replica stands to the others."""

    __slots__ = ("standing",)

    def __init__(self, standing: Standing) -> None:
        self.standing = standing

    def judge(
        self,
        meter: Meter,
        scope: Scope,
        quantity: Quantity,
        cost: int,
        now: float,
        day: float,
        doubts: list[Doubt] | None,
    ) -> list[Doubt] | None:
        """Add a doubt where the log is to decide. Raises LimitReached."""
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

    def judge_day(
        self,
        meter: Meter,
        scope: Scope,
        tokens: int,
        nanos: int,
        now: float,
        day: float,
        doubts: list[Doubt] | None,
    ) -> list[Doubt] | None:
        """The same for both of a day's budgets."""
        # A budget that is overdrawn is exhausted even for what costs nothing that is known beforehand.
        if scope.day_tokens is not None:
            doubts = self.judge(meter, scope, "tokens_per_day", max(tokens, 1), now, day, doubts)
        if scope.day_nanos is not None:
            doubts = self.judge(meter, scope, "dollars_per_day", max(nanos, 1), now, day, doubts)
        return doubts

    def within(self, doubt: Doubt, later: Later) -> bool:
        """Say whether all that is heard, and our own but for newer claims, is within the limit."""
        used, _ = use_of(doubt.meter, doubt.quantity)
        return used - later.of(doubt) <= limit_of(doubt.scope, doubt.quantity)

    def surely_within(self, doubt: Doubt, later: Later) -> bool:
        """The same, even if each of the others admits all that it may without hearing of the claim."""
        used, _ = use_of(doubt.meter, doubt.quantity)
        limit = limit_of(doubt.scope, doubt.quantity)
        replicas = self.standing.replicas
        untold = (replicas - 1) * (max(limit - used + later.all(doubt), 0) // (2 * replicas))
        return used - later.of(doubt) + untold <= limit

    def refusal_of(self, claim: Claim, now: float, day: float) -> LimitReached:
        """Return the error for a claim that was not granted."""
        doubt = claim.doubts[0]
        return self._refusal(doubt.meter, doubt.scope, doubt.quantity, doubt.cost, now, day)

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
