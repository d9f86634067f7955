"""A timer whose moment may be moved with every request at no cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

_RESOLUTION_SECONDS = 0.001


class Alarm:
    """Rings once a moment has passed.

    Moving the moment later, or away, only notes it: the timer that is set finds that it is too early and sets
    itself again. A connection that serves a thousand requests a second so costs a timer every few seconds.
    """

    __slots__ = ("_handle", "_loop", "_ring", "_set_for", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._when = self._set_for = inf
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Ring at ``when`` by the loop's clock, and not before."""
        self._when = when
        if when < self._set_for:
            self._start()

    def clear(self) -> None:
        """Do not ring."""
        self._when = inf

    def stop(self) -> None:
        """Do not ring, and leave no timer behind."""
        self._when = self._set_for = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _start(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._set_for = self._when
        self._handle = self._loop.call_at(self._when, self._look)

    def _look(self) -> None:
        self._handle, self._set_for = None, inf
        if self._when <= self._loop.time() + _RESOLUTION_SECONDS:
            self._when = inf
            self._ring()
        elif self._when != inf:
            self._start()
