"""The claims that are not decided yet, and the deciding of them. What claims are says ``claims``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from services.gateway.limiting.claims import Claim, Later
from services.gateway.limiting.judging import Judge

if TYPE_CHECKING:
    from services.gateway.limiting.ledger import Reservation


class Docket:
    """One replica's claims. ``release`` gives back what a claim had booked."""

    __slots__ = ("_judge", "_release", "claims")

    def __init__(self, judge: Judge, release: Callable[[Reservation], None]) -> None:
        self.claims: list[Claim] = []
        """The oldest first."""
        self._judge = judge
        self._release = release

    def hear(self, beat: int, offset: int) -> None:
        """One of our beats is heard, and all before it: decide the claims that it told, where possible."""
        later = Later(self.claims)
        for claim in [one for one in self.claims if one.beat is not None and one.beat <= beat]:
            later.has_come(claim)
            if claim.offset is not None:
                continue
            claim.offset = offset
            if not all(self._judge.within(doubt, later) for doubt in claim.doubts):
                self._decide(claim, granted=False)
            elif all(self._judge.surely_within(doubt, later) for doubt in claim.doubts):
                self._decide(claim, granted=True)

    def decide_answered(self, seen_by_all: int) -> None:
        """All others have told what they admitted before they heard up to an offset: decide what waited."""
        answered = [
            claim for claim in self.claims if claim.offset is not None and claim.offset <= seen_by_all
        ]
        later = Later(self.claims)
        for claim in answered:
            later.has_come(claim)
            self._decide(claim, granted=all(self._judge.within(doubt, later) for doubt in claim.doubts))

    def needs_answers(self) -> bool:
        """Say whether a claim that is about to be told cannot be decided by its place alone."""
        later = Later(self.claims)
        asks = False
        for claim in self.claims:
            later.has_come(claim)
            if not all(self._judge.surely_within(doubt, later) for doubt in claim.doubts):
                asks = True
        return asks

    def give_up(self, claim: Claim) -> None:
        """The log takes too long: whoever hears it may be granted what was claimed, so we are not."""
        if claim in self.claims:
            self._decide(claim, granted=False)

    def withdraw(self, claim: Claim) -> None:
        """Nobody wants to know any more."""
        if claim in self.claims:
            self.claims.remove(claim)

    def _decide(self, claim: Claim, *, granted: bool) -> None:
        self.claims.remove(claim)
        if not granted:
            # At once: the next claim is judged without it.
            self._release(claim.reservation)
        claim.decide(granted=granted)
