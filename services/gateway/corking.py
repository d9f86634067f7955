"""Writes to sockets, held back until the end of the event loop's turn and then made together.

A write wakes whoever reads at the other end. Made one by one, between the pieces of work that led to them,
many of them wake the same process again, which has gone back to sleep in the meantime: under load that was
a sixth of what a request cost. Made together, right before the loop waits for its sockets again, they wake
it once. Where turns have one write each, it is made at once, and nothing waits.
"""

from __future__ import annotations

import asyncio


class Cork:
    """Holds writes of one loop's transports. What was held first is written first."""

    __slots__ = ("_busy", "_held", "_loop", "_writes", "turn")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held: list[tuple[asyncio.Transport, bytes]] = []
        self._writes = 0
        """In this turn."""
        self._busy = False
        """Whether there were several in the last turn that had any."""
        self.turn = 0
        """Grows with each turn that has writes."""

    def write(self, transport: asyncio.Transport, data: bytes) -> bool:
        """Write in this turn, unless the transport is closed by its end. Return whether it waits for that."""
        self._writes += 1
        if self._writes == 1:
            self._loop.call_soon(self._end_turn)
        if self._writes > 1 or self._busy:
            self._held.append((transport, data))
            return True
        transport.write(data)
        return False

    def flush(self) -> None:
        """Write now: before a transport is closed, or written to directly."""
        held, self._held = self._held, []
        for transport, data in held:
            if not transport.is_closing():
                transport.write(data)

    def _end_turn(self) -> None:
        self._busy, self._writes = self._writes > 1, 0
        self.turn += 1
        self.flush()
