"""Where the logs of partitions ended, and when: what was counted up to there is as fresh as that moment."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import NamedTuple

MOST_REMEMBERED = 512
"""Of a partition; beyond that every other one is forgotten, and freshness becomes coarser."""


class LogEnd(NamedTuple):
    """The end of a partition's log, and the ``time.monotonic`` at which the broker said so."""

    offset: int
    seen_at: float


class LogEnds:
    """Remembers the ends of logs until they are counted.

    A log that grows all the time is never counted up to its newest end: more has come while that was written.
    So it is the newest end that *is* counted that says how old the counts are.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[int, deque[LogEnd]] = defaultdict(deque)

    def forget(self) -> None:
        """Forget everything: others may have counted, and logs may begin anew."""
        self._waiting.clear()

    def note(self, partition: int, end: LogEnd) -> None:
        """Note where a log ends now."""
        waiting = self._waiting[partition]
        if waiting and waiting[-1].offset >= end.offset:
            # The same end, seen again: it is the later moment that counts.
            waiting.pop()
        waiting.append(end)
        if len(waiting) > MOST_REMEMBERED:
            self._waiting[partition] = deque(list(waiting)[1::2])

    def reached(self, partition: int, offset: int) -> float | None:
        """Return the latest moment known at which the log ended no further than here; None where none is."""
        waiting, seen_at = self._waiting[partition], None
        while waiting and waiting[0].offset <= offset:
            seen_at = waiting.popleft().seen_at
        return seen_at
