"""Runs a coroutine without a task: at once, as far as it goes, whenever it is woken.

A task costs a turn of the event loop to begin, and one for each time it waits. A relayed request waits once,
for its provider's answer, so it is served within two callbacks of sockets: the one that brings the request,
and the one that brings the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Work:
    """A coroutine under way. ``on_end`` gets the error that it ended with, if any.

    The coroutine may wait for a ``Wakeup``, and for futures and tasks. It is no task itself, so what needs
    ``asyncio.current_task`` (``asyncio.timeout`` for one) must be wrapped in one.
    """

    __slots__ = ("_cancelled", "_coroutine", "_on_end", "_waits_for")

    def __init__(
        self, coroutine: Coroutine[Any, None, None], on_end: Callable[[BaseException | None], None]
    ) -> None:
        self._coroutine = coroutine
        self._on_end = on_end
        self._waits_for: Any = None
        self._cancelled = False

    def go_on(self, _woken_by: object = None) -> None:
        """Run to the next wait, or to the end."""
        self._waits_for = None
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration:
            self._end(None)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever began it gets it
            self._end(error)
        else:
            waits_for._asyncio_future_blocking = False  # noqa: SLF001 - as tasks answer futures
            self._waits_for = waits_for
            waits_for.add_done_callback(self.go_on)
            if self._cancelled:
                self._interrupt(waits_for)

    def cancel(self) -> None:
        """Raise CancelledError where it waits, or will wait next."""
        self._cancelled = True
        if self._waits_for is not None:
            self._interrupt(self._waits_for)

    def _interrupt(self, waits_for: Any) -> None:
        self._cancelled = False
        if not waits_for.cancel():
            # It has just happened: the coroutine is about to go on, to its next wait.
            self._cancelled = True

    def _end(self, error: BaseException | None) -> None:
        self._on_end(None if isinstance(error, asyncio.CancelledError) else error)
