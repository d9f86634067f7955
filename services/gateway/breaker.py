"""Circuit breaker: an endpoint that is down is left alone for a while, then tried with care.

    closed ──too many failures, or Retry-After──► open ──its time is over──► half-open
      ▲                                            ▲                            │  │
      │                                            └────────a trial fails───────┘  │
      └──────────────────────────enough trials succeed────────────────────────────┘

Time is passed in. Nothing that happens later shortens the time a breaker stays open: neither a success of a
request that was under way, nor a smaller ``Retry-After``, nor changed settings.
"""

from __future__ import annotations

from enum import IntEnum

from services.domain.configuration import BreakerSettings
from services.gateway.window import Window

Permit = int
"""Says which stretch of the breaker's life a request began in; results from earlier stretches are ignored."""
SETTLED: Permit = -1
_MOST_DOUBLINGS = 30


class BreakerState(IntEnum):
    """As /metrics shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Result(IntEnum):
    """What a request says about its endpoint."""

    SUCCESS = 0
    FAILURE = 1
    NEUTRAL = 2


class Breaker:
    """One endpoint's breaker. Every permit is settled exactly once."""

    __slots__ = (
        "_closed_at",
        "_openings",
        "_run",
        "_state",
        "_stretch",
        "_successes",
        "_trials",
        "_window",
        "open_until",
        "opened",
        "settings",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.open_until = float("-inf")
        self.opened = 0
        """How often it has opened, ever."""
        self._window = Window(settings.window_seconds)
        self._state = BreakerState.CLOSED
        self._stretch = 0
        self._run = 0
        self._openings = 0
        self._closed_at = float("-inf")
        self._trials = self._successes = 0

    def adopt(self, settings: BreakerSettings) -> None:
        """Go on with other settings, from the state it is in."""
        if settings.window_seconds != self.settings.window_seconds:
            self._window = Window(settings.window_seconds)
        self.settings = settings

    def state(self, now: float) -> BreakerState:
        """Return what the next request would find."""
        if self._state is BreakerState.OPEN and now >= self.open_until:
            return BreakerState.HALF_OPEN
        return self._state

    def wait_seconds(self, now: float) -> float:
        """How long it stays open."""
        return max(0.0, self.open_until - now) if self._state is BreakerState.OPEN else 0.0

    def admit(self, now: float) -> Permit | None:
        """Let a request pass, or not."""
        if self._state is BreakerState.CLOSED:
            return self._stretch
        if self._state is BreakerState.OPEN:
            if now < self.open_until:
                return None
            self._enter(BreakerState.HALF_OPEN)
            self._trials = self._successes = 0
        if self._trials >= self.settings.trial_requests:
            return None
        self._trials += 1
        return self._stretch

    def answering(self, permit: Permit, now: float) -> Permit:
        """An answer has begun that may take long: enough for a trial. Returns the permit to settle."""
        if permit != self._stretch or self._state is not BreakerState.HALF_OPEN:
            return permit
        self.settle(permit, Result.SUCCESS, now)
        return SETTLED

    def settle(self, permit: Permit, result: Result, now: float) -> None:
        """Take a result into account."""
        if permit != self._stretch:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._trials -= 1
            self._judge_trial(result, now)
        elif result is not Result.NEUTRAL:
            self._judge(result, now)

    def stay_away(self, seconds: float, now: float) -> None:
        """The provider asks to be left alone for so long."""
        until = now + min(seconds, self.settings.longest_open_seconds)
        if until > now:
            self._open_until(until)

    def _judge_trial(self, result: Result, now: float) -> None:
        if result is Result.FAILURE:
            self._open(now)
        elif result is Result.SUCCESS:
            self._successes += 1
            if self._successes >= self.settings.successes_to_close:
                self._enter(BreakerState.CLOSED)
                self._closed_at = now
                self._run = 0
                self._window.clear()

    def _judge(self, result: Result, now: float) -> None:
        window, settings = self._window, self.settings
        window.add(now)
        if result is Result.SUCCESS:
            self._run = 0
            return
        window.mark(now)
        self._run += 1
        enough = window.total >= settings.minimum_requests
        if self._run >= settings.consecutive_failures or (
            enough and window.marked >= settings.error_ratio * window.total
        ):
            self._open(now)

    def _open(self, now: float) -> None:
        settings = self.settings
        if now - self._closed_at > settings.window_seconds and self._state is BreakerState.CLOSED:
            self._openings = 0
        seconds = settings.open_seconds * 2.0 ** min(self._openings, _MOST_DOUBLINGS)
        self._openings += 1
        self._open_until(now + min(seconds, settings.longest_open_seconds))

    def _open_until(self, until: float) -> None:
        self.open_until = max(self.open_until, until)
        if self._state is not BreakerState.OPEN:
            self.opened += 1
            self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._stretch += 1
