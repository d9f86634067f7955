"""How a replica's clock runs beside the broker's, learnt from records whose append time the broker noted.

A record that was sent at s on the replica's clock and appended at b on the broker's took b - s - offset.
Taking is never negative, so the smallest difference seen is the offset plus the shortest way to the broker, a
few milliseconds. Only the last ten to twenty seconds are looked at, so a broker whose clock is another's, or
is set, is believed soon.
"""

from __future__ import annotations

BUCKET_MS = 10_000


class ClockOffset:
    """The offset of one replica, in milliseconds."""

    __slots__ = ("_before", "_bucket", "_now")

    def __init__(self) -> None:
        self._bucket: int | None = None
        self._now: int | None = None
        self._before: int | None = None

    def note(self, sent_ms: int, appended_ms: int) -> None:
        """A record was sent and appended at these times."""
        bucket = appended_ms // BUCKET_MS
        if bucket != self._bucket:
            follows = self._bucket is not None and bucket == self._bucket + 1
            self._before = self._now if follows else None
            self._bucket, self._now = bucket, None
        difference = appended_ms - sent_ms
        self._now = difference if self._now is None else min(self._now, difference)

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return self._now is not None

    @property
    def milliseconds(self) -> int:
        """What is added to the replica's time to get the broker's."""
        now = self._now or 0
        return now if self._before is None else min(now, self._before)
