"""What requests deal with: an estimate, a reservation, and what it came to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from services.domain.configuration import Prices
from services.domain.events import Outcome, UnitSource
from services.domain.status import OutcomeStatus
from services.domain.token_estimate import Streamed
from services.gateway.body import RequestBody
from services.gateway.cost import cost_nanos
from services.gateway.limiting.claims import Claim
from services.gateway.limiting.estimates import cost_of
from services.gateway.limiting.judging import DAY_SECONDS
from services.gateway.limiting.ledger import Ledger, Reservation
from services.gateway.limiting.plans import Plan
from services.gateway.limiting.refusals import LimitReached
from services.gateway.limiting.sharing import Sharing

CLAIM_SECONDS = 0.5
"""How long a request may wait for the log to decide about its claim."""
_CUT_OFF = frozenset({OutcomeStatus.CALLER_GONE, OutcomeStatus.CALLER_GAVE_UP, OutcomeStatus.STREAM_BROKEN})
"""A provider was at work, and nobody was told for how many tokens."""
_ANSWERED = frozenset({OutcomeStatus.OK, OutcomeStatus.CONTENT_FILTERED})


class Limiter:
    """Admits requests and settles them. ``clock`` is monotonic, ``wall`` tells the day."""

    def __init__(
        self,
        ledger: Ledger,
        sharing: Sharing,
        *,
        default_cap: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.ledger = ledger
        self.sharing = sharing
        self.refusals: Counter[tuple[str, str]] = Counter()
        """By kind of scope and limit."""
        self.claims = 0
        self._default_cap = default_cap
        self._clock = clock
        self._wall = wall

    def admit(self, plan: Plan, body: RequestBody, unit_hash: int, unit_source: UnitSource) -> Reservation:
        """Return what the request holds from now on. Raises LimitReached; then it holds nothing.

        While ``sharing.joining``, ``sharing.joined()`` comes first. With a ``claim``, ``decided`` comes next.
        """
        # Whoever names no unit is a unit of its own with each request, and shares its limits with nobody.
        unit = None if unit_source is UnitSource.REQUEST else unit_hash
        cost = cost_of(body, plan, self._default_cap)
        try:
            return self.ledger.reserve(plan, unit, cost, self._clock(), self._wall() / DAY_SECONDS)
        except LimitReached as error:
            self.refusals[error.scope_kind, error.quantity] += 1
            raise

    def cancel(self, reservation: Reservation) -> None:
        """The request is not made after all."""
        self.ledger.cancel(reservation)

    def settle(
        self,
        reservation: Reservation,
        outcome: Outcome | None,
        prices: Prices | None,
        streamed: Streamed | None,
    ) -> None:
        """The request is over. ``prices`` are of whoever answered; without an ``outcome`` there is a bug."""
        if outcome is None or not reservation.plan.counts_tokens:
            self.ledger.settle(reservation, 0, 0)
            return
        prompt, completion = outcome.prompt_tokens, outcome.completion_tokens
        if prompt is None and completion is None:
            prompt, completion = _guess(reservation, outcome, streamed)
            nanos = cost_nanos(prices, prompt, completion) or 0
            self.ledger.settle(reservation, prompt + completion, nanos)
            return
        self.ledger.settle(reservation, (prompt or 0) + (completion or 0), outcome.cost_nanos or 0)

    async def decided(self, reservation: Reservation, claim: Claim) -> None:
        """Wait for the log to decide. Raises LimitReached; then the request holds nothing."""
        ledger = self.ledger
        self.claims += 1
        loop = asyncio.get_running_loop()
        decided: asyncio.Future[None] = loop.create_future()
        claim.on_decided = partial(_wake, decided)
        late = loop.call_later(CLAIM_SECONDS, ledger.docket.give_up, claim)
        self.sharing.wake()
        try:
            await decided
        except asyncio.CancelledError:
            ledger.cancel(reservation)
            raise
        finally:
            late.cancel()
        if not claim.granted:
            error = ledger.judge.refusal_of(claim, self._clock(), self._wall() / DAY_SECONDS)
            self.refusals[error.scope_kind, error.quantity] += 1
            raise error


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _guess(reservation: Reservation, outcome: Outcome, streamed: Streamed | None) -> tuple[int, int]:
    """Return tokens of prompt and answer where the provider named none."""
    cost = reservation.cost
    if outcome.status in _ANSWERED:
        # As much as it may have been, unless the answer was seen passing.
        return cost.prompt, cost.completion if streamed is None else streamed.tokens
    if outcome.status in _CUT_OFF and outcome.attempts:
        return cost.prompt, 0 if streamed is None else streamed.tokens
    return 0, 0
