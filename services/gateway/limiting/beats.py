"""What is told to the other replicas, and what is heard of them and of ourselves.

Own records are heard too. They say how our clock runs beside the broker's, what the others know of us by now,
and that both ways to Kafka work: a replica that has not heard itself for a while is *apart*.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from uuid import UUID

from services.domain.clock_offset import ClockOffset
from services.domain.sliding_window import Slot, slot_at
from services.gateway.limiting.ledger import Ledger
from services.gateway.limiting.meters import Day, Meter
from services.gateway.limiting.peers import Peer, Peers
from services.messaging.consumption_codec import CONSUMPTION_SCHEMA, Beat, DayTotal, DayUse, ScopeUse

BEAT_SECONDS = 0.05
"""Between beats, while there is something to tell and somebody to tell it to."""
ALONE_SECONDS = 0.5
"""Between beats otherwise."""
STALE_SECONDS = 2.0
"""A replica that has not heard a beat of its own that is younger is apart."""
SILENT_SECONDS = 3.0
"""Who was not heard of for so long is gone."""
LARGEST_BEAT = 5_000
"""Scopes; the rest goes into the next."""
SAVE_SECONDS = 10.0
"""From the first change of a day's total until it is saved. Until then the beats tell it."""
MOST_SAVED = 100
"""Totals that are saved at once; the rest follows."""
MOST_UNDER_WAY = 100
"""Beats that are not heard; the oldest of more counts as lost."""


class Told:
    """What one beat said of one meter."""

    __slots__ = ("day", "in_flight", "meter", "slots")

    def __init__(self, meter: Meter, slots: list[tuple[Slot, int, int]], day: DayUse | None) -> None:
        self.meter = meter
        self.slots = slots
        self.in_flight = meter.in_flight
        self.day = day


class Beats:
    """One replica's side of the exchange. ``at_least`` many replicas are taken for granted until it joins."""

    def __init__(self, replica: UUID, ledger: Ledger, at_least: int = 1) -> None:
        self.replica = replica
        self.peers = Peers(SILENT_SECONDS)
        self.joined = False
        """Whether it ever heard itself since it began."""
        self._ledger = ledger
        self._offset = ClockOffset()
        self._sequence = 0
        self._beaten_at = float("-inf")
        self._heard_sent_ms: int | None = None
        self._under_way: dict[int, list[Told]] = {}
        self._unanswered: deque[tuple[int, Told]] = deque()
        """By the offsets at which we heard it; not everybody is known to have heard it too."""
        self._early: list[tuple[Beat, int, int]] = []
        self._unsaved: deque[tuple[float, Meter, Day]] = deque()
        """With the moments at which they changed first."""
        self._seen = -1
        self.called = False
        """Whether somebody waits for a beat of ours."""
        ledger.standing.set(at_least, 0, together=False)

    # To the others.

    def due(self, now: float) -> bool:
        """Say whether it is time for a beat."""
        since = now - self._beaten_at
        ledger = self._ledger
        if self.called or any(claim.beat is None for claim in ledger.docket.claims):
            return True
        busy = bool(ledger.changed) and ledger.standing.replicas > 1
        return since >= (BEAT_SECONDS if busy else ALONE_SECONDS)

    def beat(self, now: float, *, goodbye: bool = False) -> Beat:
        """Return what is to be told now. It is under way until it is heard, or ``lost``."""
        ledger = self._ledger
        self._beaten_at, self.called = now, False
        self._sequence += 1
        changed = ledger.changed[:LARGEST_BEAT]
        del ledger.changed[:LARGEST_BEAT]
        told = [self._tell(meter, now) for meter in changed]
        self._under_way[self._sequence] = told
        if len(self._under_way) > MOST_UNDER_WAY:
            self.lost(next(iter(self._under_way)))
        asks = False
        if not ledger.changed:
            asks = self._tell_claims()
        scopes = [_scope_use(one) for one in told]
        sent_ms = int(now * 1000)
        return Beat(
            CONSUMPTION_SCHEMA, self.replica, self._sequence, sent_ms, scopes, self._seen, asks, goodbye
        )

    def _tell_claims(self) -> bool:
        """The beat that is made tells all claims that are new; return whether the others must answer it."""
        new = [claim for claim in self._ledger.docket.claims if claim.beat is None]
        for claim in new:
            claim.beat = self._sequence
        return bool(new) and self._ledger.docket.needs_answers()

    def lost(self, sequence: int) -> None:
        """Nobody knows whether a beat arrived: what it said is told again."""
        for told in self._under_way.pop(sequence, ()):
            for slot, _, _ in told.slots:
                if not slot.waiting:
                    slot.waiting = True
                    told.meter.waiting.append(slot)
            self._ledger.note_changed(told.meter)
        for claim in self._ledger.docket.claims:
            if claim.beat == sequence:
                claim.beat = None

    def day_totals(self, now: float) -> list[DayTotal]:
        """Return totals that have changed long enough ago since they were last returned."""
        unsaved = self._unsaved
        totals: list[DayTotal] = []
        while unsaved and len(totals) < MOST_SAVED and unsaved[0][0] <= now - SAVE_SECONDS:
            _, meter, day = unsaved.popleft()
            day.unsaved = False
            use = (day.number, day.own_tokens, day.own_nanos)
            totals.append(DayTotal(CONSUMPTION_SCHEMA, self.replica, self._sequence, meter.scope, use))
        return totals

    def not_saved(self, total: DayTotal) -> None:
        """A total did not arrive: it is returned again."""
        meter = self._ledger.meters.by_scope.get(total.scope)
        if meter is not None and meter.day is not None and meter.day.number == total.day[0]:
            self._to_save(meter, meter.day, float("-inf"))

    # From the log, in its order.

    def hear(self, beat: Beat, offset: int, appended_ms: int, now: float, today: int) -> None:
        """Somebody else's beat, at an offset of the log."""
        self._seen = max(self._seen, offset)
        if not self._offset.known:
            # Where its slots belong cannot be known yet.
            self._early.append((beat, offset, appended_ms))
            return
        peer = self.peers.of(beat.replica)
        peer.offset.note(beat.sent_ms, appended_ms)
        if beat.sequence <= peer.sequence:
            return
        peer.sequence = beat.sequence
        new = peer.heard_at < now - SILENT_SECONDS
        peer.heard_at = peer.time_of(beat.sent_ms, self._offset)
        peer.gone = beat.goodbye
        if new and not beat.goodbye and peer.heard_at >= now - SILENT_SECONDS:
            self._announce()
        for use in beat.scopes:
            self._apply(peer, use, beat.sequence, now, today)
        peer.seen = beat.seen
        if beat.goodbye:
            peer.forget_in_flight()
        if beat.asks and peer.heard_at >= now - SILENT_SECONDS:
            self.called = True
        self._note_answers(now)

    def hear_own(
        self, sequence: int, sent_ms: int, offset: int, appended_ms: int, now: float, today: int
    ) -> None:
        """A beat of our own: everything before it is heard, and everybody hears what it said."""
        self._seen = max(self._seen, offset)
        self._offset.note(sent_ms, appended_ms)
        self._heard_sent_ms = max(sent_ms, self._heard_sent_ms or 0)
        for number in [number for number in self._under_way if number <= sequence]:
            for told in self._under_way.pop(number):
                self._unanswered.append((offset, told))
        early, self._early = self._early, []
        for beat, place, then in early:
            self.hear(beat, place, then, now, today)
        self.tick(now, today)
        if self._ledger.docket.claims:
            self._ledger.docket.hear(sequence, offset)
        self._note_answers(now)

    def _note_answers(self, now: float) -> None:
        """What all others have heard is heard, and what they admitted without knowing of it is known."""
        seen = min((peer.seen for peer in self.peers.alive(now)), default=self._seen)
        self._note_heard_until(seen)
        if self._ledger.docket.claims:
            self._ledger.docket.decide_answered(seen)

    def _note_heard_until(self, offset: int) -> None:
        unanswered = self._unanswered
        while unanswered and unanswered[0][0] <= offset:
            self._note_heard(unanswered.popleft()[1])

    def hear_total(self, total: DayTotal, today: int) -> None:
        """A day's total of another replica, alive or not."""
        if total.day[0] >= today and total.replica != self.replica:
            self._apply_day(self.peers.of(total.replica), total.scope, total.day, total.sequence)

    def tick(self, now: float, today: int) -> None:
        """Time has passed: see who is there."""
        standing = self._ledger.standing
        heard = self._heard_sent_ms
        together = heard is not None and now - heard / 1000 <= STALE_SECONDS
        if not together:
            if standing.together:
                # Nobody will answer, and the parts of what is left are reckoned from what was heard.
                self._note_heard_until(self._seen)
                standing.set(standing.replicas, standing.rank, together=False)
            return
        was_apart = not standing.together
        self.joined = True
        alive = sorted(peer.replica for peer in self.peers.alive(now))
        standing.set(len(alive) + 1, bisect_left(alive, self.replica), together=True)
        self.peers.bury(now, today)
        if was_apart:
            self._announce()

    def silent_seconds(self, now: float) -> float | None:
        """Return how old the youngest own beat is that was heard."""
        return None if self._heard_sent_ms is None else now - self._heard_sent_ms / 1000

    def _tell(self, meter: Meter, now: float) -> Told:
        meter.changed = False
        slots = []
        for slot in meter.waiting:
            slot.waiting = False
            slots.append((slot, slot.requests, slot.tokens))
        meter.waiting = []
        day = meter.day
        if day is None:
            return Told(meter, slots, None)
        self._to_save(meter, day, now)
        return Told(meter, slots, (day.number, day.own_tokens, day.own_nanos))

    def _to_save(self, meter: Meter, day: Day, since: float) -> None:
        if not day.unsaved and (day.own_tokens or day.own_nanos):
            day.unsaved = True
            self._unsaved.append((since, meter, day))

    def _note_heard(self, told: Told) -> None:
        meter = told.meter
        for slot, requests, tokens in told.slots:
            meter.heard(slot, requests, tokens)
        meter.heard_in_flight = told.in_flight
        day, use = meter.day, told.day
        if day is not None and use is not None and day.number == use[0]:
            # What is not heard is what of our own has changed since.
            day.heard_tokens = day.tokens - (day.own_tokens - use[1])
            day.heard_nanos = day.nanos - (day.own_nanos - use[2])

    def _apply(self, peer: Peer, use: ScopeUse, sequence: int, now: float, today: int) -> None:
        meter = self._meter(use.scope, now)
        for number, requests, tokens in use.slots:
            place = peer.slot_for(number, self._offset)
            meter.put(peer.number << 48 | number, place, requests, tokens)
        if use.in_flight is not None:
            before = peer.in_flight.pop(meter, 0)
            meter.others_in_flight += use.in_flight - before
            if use.in_flight:
                peer.in_flight[meter] = use.in_flight
        if use.day is not None and use.day[0] >= today:
            self._apply_day(peer, use.scope, use.day, sequence, meter)

    def _apply_day(
        self, peer: Peer, scope: int, use: DayUse, sequence: int, meter: Meter | None = None
    ) -> None:
        number, tokens, nanos = use
        before = peer.days.get(scope, (-1, 0, 0, 0))
        if before[0] >= sequence and before[1] >= number:
            return
        peer.days[scope] = sequence, number, tokens, nanos
        peer.day = max(peer.day, number)
        meter = meter or self._meter(scope, 0.0)
        _, _, old_tokens, old_nanos = before if before[1] == number else (0, 0, 0, 0)
        meter.today(number).hear(tokens - old_tokens, nanos - old_nanos)

    def _meter(self, scope: int, now: float) -> Meter:
        meters = self._ledger.meters
        meter = meters.by_scope.get(scope)
        if meter is None:
            meter = meters.begin(scope, slot_at(now))
        else:
            meter.turn_to(slot_at(now))
        return meter

    def _announce(self) -> None:
        """Somebody may not know what we have under way: tell it all."""
        self.called = True
        for meter in self._ledger.meters.by_scope.values():
            if meter.tells_in_flight and meter.in_flight:
                self._ledger.note_changed(meter)


def _scope_use(told: Told) -> ScopeUse:
    meter = told.meter
    return ScopeUse(
        meter.scope,
        [(slot.number, requests, tokens) for slot, requests, tokens in told.slots],
        told.in_flight if meter.tells_in_flight else None,
        told.day,
    )
