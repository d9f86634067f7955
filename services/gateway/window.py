"""Two counts over the last few seconds, kept in a ring of buckets: no event is stored, each costs O(1)."""

from __future__ import annotations

BUCKETS = 10


class Window:
    """How many things happened within ``seconds``, and how many of them (or beside them) were marked.

    The oldest of the buckets leaves as a whole, so what is counted spans nine to ten tenths of the time.
    """

    __slots__ = ("_bucket", "_marks", "_newest", "_seconds", "_things", "marked", "total")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds / BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.total = self.marked = 0
        self._things = [0] * BUCKETS
        self._newest = 0
        """What goes into the newest bucket once it is complete: until then only this object is touched."""
        self._marks = [0] * BUCKETS
        self._bucket = 0

    def add(self, now: float) -> None:
        """Count a thing."""
        # Nearly always in the bucket of the thing before: that costs no call.
        if int(now / self._seconds) > self._bucket:
            self.turn_to(now)
        self._newest += 1
        self.total += 1

    def mark(self, now: float) -> None:
        """Count a mark."""
        self.turn_to(now)
        self._marks[self._bucket % BUCKETS] += 1
        self.marked += 1

    def turn_to(self, now: float) -> None:
        """Drop what is too old by now."""
        bucket = int(now / self._seconds)
        if bucket <= self._bucket:
            return
        self._things[self._bucket % BUCKETS] = self._newest
        self._newest = 0
        for passed in range(max(self._bucket + 1, bucket - BUCKETS + 1), bucket + 1):
            place = passed % BUCKETS
            self.total -= self._things[place]
            self.marked -= self._marks[place]
            self._things[place] = self._marks[place] = 0
        self._bucket = bucket
