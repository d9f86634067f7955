"""What a coroutine waits for on the hot path: cheaper than a future, and awaited over and over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from functools import partial
from typing import Any


class Wakeup:
    """Wakes the one coroutine that waits for it; at other times ``wake`` does nothing.

    To a task it is a future: it speaks the protocol by which asyncio recognises one. ``Work`` (see
    ``services.gateway.inbound.work``) is resumed within ``wake``, without a turn of the event loop.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_loop", "_resume")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._cancelled = False
        self._loop = loop
        self._resume: Callable[[Any], object] | None = None

    def __await__(self) -> Generator[Any, None, None]:
        self._asyncio_future_blocking = True
        yield self
        if self._cancelled:
            self.result()

    def wake(self) -> None:
        """What was waited for has happened."""
        resume = self._resume
        if resume is not None:
            self._resume = None
            resume(self)

    # As futures have it.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that it belongs to."""
        return self._loop

    def add_done_callback(self, resume: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Take who is to be woken. Tasks name their context, and must not be resumed within ``wake``."""
        if context is not None:
            self._resume = partial(self._loop.call_soon, resume, context=context)  # type: ignore[arg-type]
        else:
            self._resume = resume

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - as futures have it
        """Wake with CancelledError; False where nobody waits."""
        if self._resume is None:
            return False
        self._cancelled = True
        self.wake()
        return True

    def result(self) -> None:
        """Raise CancelledError, once, if that is why it woke."""
        if self._cancelled:
            self._cancelled = False
            raise asyncio.CancelledError
