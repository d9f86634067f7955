"""A sliding window of 60 seconds: what was used in any 60 seconds is known, and never counted too low.

Time is cut into slots of a quarter of a second, and a slot holds what was used in it. At a moment in slot k
the window is made of the slots k - 240 … k: the present one, and every slot that overlaps the last 60
seconds. It therefore spans 60 to 60.25 seconds. Whoever admits only what keeps the window's sum within a
limit admits at most the limit in **any** 60 seconds, wherever they begin, and at least 60 / 60.25 = 99.6 % of
it under saturation. There is no edge at which a limit could be used twice.

Of the consumption of a slot, a part may be *heard*: known to everybody who shares the limit. What is not
heard yet is this replica's own (``services.domain.escrow``).

What was reserved is settled in the slot of its admission. That may be later than the slot's end, and later
than the slot's leaving the window, after which it changes nothing.
"""

from __future__ import annotations

WINDOW_SECONDS = 60
SLOTS_PER_SECOND = 4
SLOT_SECONDS = 1 / SLOTS_PER_SECOND
SPAN = WINDOW_SECONDS * SLOTS_PER_SECOND
"""How many slots before the present one belong to the window."""


def slot_at(seconds: float) -> int:
    """Return the number of the slot that a moment lies in, on a clock that began before it."""
    return int(seconds * SLOTS_PER_SECOND)


class Slot:
    """What one replica used in one slot. ``key`` is None for this replica's own."""

    __slots__ = ("heard_requests", "heard_tokens", "key", "number", "requests", "tokens", "waiting")

    def __init__(self, number: int, key: int | None = None) -> None:
        self.number = number
        self.key = key
        self.requests = 0
        self.tokens = 0
        self.heard_requests = 0
        self.heard_tokens = 0
        self.waiting = False
        """Whether it has changed since it was last told to others."""


class Window:
    """What was used within the window, by this replica and, as far as it is known, by others.

    ``turn_to`` comes before any look at a sum, with a slot number that never falls.
    """

    __slots__ = (
        "_others",
        "_own",
        "_slots",
        "heard_requests",
        "heard_tokens",
        "number",
        "requests",
        "tokens",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        """The present slot."""
        self.requests = 0
        self.tokens = 0
        self.heard_requests = 0
        self.heard_tokens = 0
        self._slots: list[Slot] = []
        """In the order of their numbers."""
        self._own: Slot | None = None
        self._others: dict[int, Slot] | None = None

    def turn_to(self, number: int) -> None:
        """Time has come to a slot: what is too old leaves."""
        if number <= self.number:
            return
        self.number = number
        oldest, slots = number - SPAN, self._slots
        if not slots or slots[0].number >= oldest:
            return
        gone = 0
        for slot in slots:
            if slot.number >= oldest:
                break
            gone += 1
            self._leave(slot)
        del slots[:gone]

    def take(self, requests: int, tokens: int) -> Slot:
        """Use so much in the present slot, and return the slot."""
        slot = self._own
        if slot is None or slot.number != self.number:
            slot = self._own = Slot(self.number)
            self._insert(slot)
        slot.requests += requests
        slot.tokens += tokens
        self.requests += requests
        self.tokens += tokens
        return slot

    def change(self, slot: Slot, requests: int, tokens: int) -> None:
        """More, or less, was used in a slot than was thought."""
        slot.requests += requests
        slot.tokens += tokens
        if slot.number >= self.number - SPAN:
            self.requests += requests
            self.tokens += tokens
        if slot.heard_requests > slot.requests or slot.heard_tokens > slot.tokens:
            # What is given back, others take as soon as they hear of it: it is not ours to use unheard.
            self.heard(slot, slot.heard_requests, slot.heard_tokens)

    def heard(self, slot: Slot, requests: int, tokens: int) -> None:
        """Everybody knows that so much was used in one of this replica's slots, less what was given back."""
        requests, tokens = min(requests, slot.requests), min(tokens, slot.tokens)
        if slot.number >= self.number - SPAN:
            self.heard_requests += requests - slot.heard_requests
            self.heard_tokens += tokens - slot.heard_tokens
        slot.heard_requests, slot.heard_tokens = requests, tokens

    def put(self, key: int, number: int, requests: int, tokens: int) -> None:
        """Another replica used so much in a slot, in all; ``key`` names the two. ``number`` is our own's."""
        others = self._others
        if others is None:
            others = self._others = {}
        slot = others.get(key)
        if slot is None:
            if number < self.number - SPAN:
                return
            slot = others[key] = Slot(number, key)
            self._insert(slot)
        self.change(slot, requests - slot.requests, tokens - slot.tokens)
        self.heard(slot, requests, tokens)

    @property
    def empty(self) -> bool:
        """Whether nothing was used in the window."""
        return not self._slots

    def slots_from_oldest(self) -> list[Slot]:
        """Return what the window holds."""
        return self._slots

    def _insert(self, slot: Slot) -> None:
        slots = self._slots
        place = len(slots)
        # Nearly always at the end; others' slots come a little late.
        while place and slots[place - 1].number > slot.number:
            place -= 1
        slots.insert(place, slot)

    def _leave(self, slot: Slot) -> None:
        self.requests -= slot.requests
        self.tokens -= slot.tokens
        self.heard_requests -= slot.heard_requests
        self.heard_tokens -= slot.heard_tokens
        if slot.key is not None and self._others is not None:
            del self._others[slot.key]
