"""What one shadow may use: requests at a time, and dollars an hour, over all processes of the gateway."""

from __future__ import annotations

from services.gateway.limits import SharedCount

MINUTE_SECONDS = 60.0
MINUTES = 60


class Spending:
    """What was spent over the last hour, in billionths of a dollar, by minutes.

    What is under way, and what came without a cost, counts as the mean of what is known.
    """

    __slots__ = ("_known", "_known_nanos", "_minute", "_minutes", "_share", "total_nanos")

    def __init__(self, share: SharedCount | None = None) -> None:
        self.total_nanos = 0
        """Since the beginning, as far as it is known."""
        self._minutes = [0] * MINUTES
        self._minute = 0
        self._known = self._known_nanos = 0
        self._share = share

    def add(self, cost_nanos: int | None, now: float) -> None:
        """An answer came, and cost so much; None where nobody knows."""
        self._turn_to(now)
        if cost_nanos is not None:
            self._known += 1
            self._known_nanos += cost_nanos
            self.total_nanos += cost_nanos
        self._minutes[self._minute % MINUTES] += self._mean_nanos if cost_nanos is None else cost_nanos
        self._tell()

    def allows(self, limit_nanos: int | None, under_way: int, now: float) -> bool:
        """Say whether one more keeps the last hour below the limit."""
        if limit_nanos is None:
            return True
        self._turn_to(now)
        self._tell()
        spent = sum(self._minutes) if self._share is None else self._share.total
        return spent + under_way * self._mean_nanos + max(self._mean_nanos, 1) <= limit_nanos

    @property
    def _mean_nanos(self) -> int:
        return self._known_nanos // self._known if self._known else 0

    def _turn_to(self, now: float) -> None:
        minute = int(now / MINUTE_SECONDS)
        for passed in range(max(self._minute + 1, minute - MINUTES + 1), minute + 1):
            self._minutes[passed % MINUTES] = 0
        self._minute = max(minute, self._minute)

    def _tell(self) -> None:
        if self._share is not None:
            self._share.set(sum(self._minutes))


class Slots:
    """How many requests are under way, and whether there is room for one more."""

    __slots__ = ("_share", "taken")

    def __init__(self, share: SharedCount | None = None) -> None:
        self.taken = 0
        """By this process."""
        self._share = share

    def has_room(self, limit: int) -> bool:
        """Say whether one more may begin."""
        return self.total < limit

    @property
    def total(self) -> int:
        """By all processes."""
        return self.taken if self._share is None else self._share.total

    def take(self) -> None:
        """One begins."""
        self._change(1)

    def free(self) -> None:
        """One is over."""
        self._change(-1)

    def _change(self, by: int) -> None:
        self.taken += by
        if self._share is not None:
            self._share.set(self.taken)
