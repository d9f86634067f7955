"""What one scope has used: in the window, at the moment, and today."""

from __future__ import annotations

from collections.abc import Callable, Set
from itertools import islice

from services.domain.sliding_window import Slot, Window
from services.gateway.limiting.plans import Scope

SECOND_CHANCES = 8


class Day:
    """One day's use, by everybody as far as it is known; what of it is heard, and what is our own."""

    __slots__ = (
        "heard_nanos",
        "heard_tokens",
        "nanos",
        "number",
        "own_nanos",
        "own_tokens",
        "tokens",
        "unsaved",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.tokens = 0
        self.nanos = 0
        self.heard_tokens = 0
        self.heard_nanos = 0
        self.own_tokens = 0
        self.own_nanos = 0
        self.unsaved = False

    def is_short(self, scope: Scope, tokens: int, nanos: int, divisor: int) -> bool:
        """Say whether a budget does not surely allow so much more: then it is to be judged."""
        limit, heard = scope.day_tokens, self.heard_tokens
        if limit is not None and (
            (self.tokens - heard + tokens) * divisor > limit - heard
            or self.tokens + tokens > limit
            or self.tokens >= limit
        ):
            return True
        limit, heard = scope.day_nanos, self.heard_nanos
        return limit is not None and (
            (self.nanos - heard + nanos) * divisor > limit - heard
            or self.nanos + nanos > limit
            or self.nanos >= limit
        )

    def take(self, tokens: int, nanos: int) -> None:
        """This replica used more, or less, than was known."""
        self.tokens += tokens
        self.nanos += nanos
        self.own_tokens += tokens
        self.own_nanos += nanos

    def hear(self, tokens: int, nanos: int) -> None:
        """Another replica used so much more than was known."""
        self.tokens += tokens
        self.nanos += nanos
        self.heard_tokens += tokens
        self.heard_nanos += nanos


class Meter(Window):
    """One scope: a key, a team, a route, or a unit on a route. ``scope`` is its number on the wire."""

    __slots__ = (
        "changed",
        "day",
        "heard_in_flight",
        "in_flight",
        "others_in_flight",
        "scope",
        "tells_in_flight",
        "waiting",
    )

    def __init__(self, scope: int, number: int) -> None:
        super().__init__(number)
        self.scope = scope
        self.in_flight = 0
        self.heard_in_flight = 0
        self.others_in_flight = 0
        self.tells_in_flight = False
        self.day: Day | None = None
        self.changed = False
        """Whether it is on the list of those to be told about."""
        self.waiting: list[Slot] = []
        """Own slots that have changed since they were last told."""

    def today(self, number: int) -> Day:
        """Return the day's use; it begins with the day."""
        day = self.day
        if day is None or day.number < number:
            day = self.day = Day(number)
        return day

    def idle(self, number: int, day: int) -> bool:
        """Whether nothing would be lost with it, at a slot and on a day."""
        if self.in_flight or self.others_in_flight or self.changed:
            return False
        if self.day is not None and self.day.number >= day:
            return False
        self.turn_to(number)
        return self.empty


class Meters:
    """All meters by scope. Idle ones are dropped; of units beyond ``most`` the oldest are, idle or not.

    ``lasting`` returns the scopes of keys, teams and routes. They are as many as are configured, while
    anybody may name ever new units; so whatever is not among them may go.
    """

    def __init__(self, most: int, lasting: Callable[[], Set[int]] = frozenset) -> None:
        self.by_scope: dict[int, Meter] = {}
        self.evicted = 0
        """Meters that were dropped while they held something, because there were too many."""
        self._lasting = lasting
        self._most = most
        self._passing: dict[int, Meter] = {}
        """Those that may go, the oldest first."""
        self._to_look_at: list[int] = []

    def begin(self, scope: int, number: int) -> Meter:
        """Return a new meter."""
        meter = Meter(scope, number)
        if scope not in self._lasting():
            if len(self._passing) >= self._most:
                self._make_room()
            self._passing[scope] = meter
        self.by_scope[scope] = meter
        return meter

    def sweep(self, number: int, day: int, share: float) -> None:
        """Look at a share of all meters, in turn, and drop the idle ones."""
        if not self._to_look_at:
            self._to_look_at = list(self.by_scope)
        for _ in range(min(len(self._to_look_at), 1 + int(share * len(self.by_scope)))):
            scope = self._to_look_at.pop()
            meter = self.by_scope.get(scope)
            if meter is not None and meter.idle(number, day):
                del self.by_scope[scope]
                self._passing.pop(scope, None)

    def _make_room(self) -> None:
        passing, lasting = self._passing, self._lasting()
        oldest = list(islice(passing.items(), SECOND_CHANCES))
        for scope, meter in oldest:
            if scope in lasting:
                # It was heard of before it was configured here.
                del passing[scope]
                return
            if not (meter.in_flight or meter.day):
                break
            # Once more to the end of the line.
            passing[scope] = passing.pop(scope)
        else:
            scope = oldest[0][0]
        del passing[scope], self.by_scope[scope]
        self.evicted += 1
