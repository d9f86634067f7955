"""Claims: requests that fit into what is left of a limit, but not into this replica's part of it.

A claim is booked and told at once. When this replica hears its own record, it has heard all that came before
it. If everything heard by then, and everything of its own but for its newer claims, is over the limit, the
claim is refused. If it is within the limit even with what the others may have admitted and not told yet, it
is granted: the first claim in the log to what is left, for one. Otherwise it waits for a beat of each of them
that was sent after hearing the claim, which they send at once: then all that they admitted without knowing of
it is known, and decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from services.gateway.limiting.meters import Meter
from services.gateway.limiting.plans import Scope

if TYPE_CHECKING:
    from services.gateway.limiting.ledger import Reservation
    from services.gateway.limiting.refusals import Quantity


class Doubt:
    """One limit of one scope that is in doubt."""

    __slots__ = ("cost", "meter", "quantity", "scope")

    def __init__(self, meter: Meter, scope: Scope, quantity: Quantity, cost: int) -> None:
        self.meter = meter
        self.scope = scope
        self.quantity: Quantity = quantity
        self.cost = cost


class Claim:
    """What a reservation waits for. ``beat`` is the number of the record that tells it, ``offset`` its place.

    ``offset`` is None until it is heard.
    """

    __slots__ = ("beat", "doubts", "granted", "offset", "on_decided", "reservation")

    def __init__(self, doubts: list[Doubt], reservation: Reservation) -> None:
        self.doubts = doubts
        self.reservation = reservation
        self.beat: int | None = None
        self.offset: int | None = None
        self.granted: bool | None = None
        self.on_decided: Callable[[], None] | None = None

    def decide(self, *, granted: bool) -> None:
        """Note the decision, and tell who waits for it."""
        self.granted = granted
        if self.on_decided is not None:
            self.on_decided()


class Later:
    """What the claims that are not decided yet have booked of what they are in doubt about."""

    __slots__ = ("_all", "_booked")

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._booked: Counter[tuple[Meter, Quantity]] = Counter()
        for claim in claims:
            for doubt in claim.doubts:
                self._booked[doubt.meter, doubt.quantity] += doubt.cost
        self._all = self._booked.copy()

    def has_come(self, claim: Claim) -> None:
        """A claim is about to be decided, the oldest first."""
        for doubt in claim.doubts:
            self._booked[doubt.meter, doubt.quantity] -= doubt.cost

    def of(self, doubt: Doubt) -> int:
        """Return what newer claims than the one that has come have booked of the same."""
        return self._booked[doubt.meter, doubt.quantity]

    def all(self, doubt: Doubt) -> int:
        """Return what all of them have booked of it, which the others may not know."""
        return self._all[doubt.meter, doubt.quantity]
