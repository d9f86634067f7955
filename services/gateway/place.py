"""Where a gateway's process stands: alone, or as one of several on the same port."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass

from services.gateway.board import Board
from services.gateway.limits import SharedCount, SharedCounts


@dataclass(frozen=True, slots=True)
class Shared:
    """What the processes of one gateway have in common; made by their parent before they are.

    ``alive`` is the reading end of a pipe whose other end only the parent holds: it ends with the parent.
    """

    bound: socket.socket
    board: Board
    counts: SharedCounts
    alive: int
    feedback_key: str
    """What they sign feedback tokens with, where no key is set."""


@dataclass(frozen=True, slots=True)
class Place:
    """``process`` counts from 0; ``shared`` is None for a gateway of one process."""

    process: int = 0
    shared: Shared | None = None

    @property
    def number(self) -> int:
        """What people call the process."""
        return self.process + 1

    def share(self, endpoint_key: str) -> SharedCount | None:
        """Return this process's place in the common count of an endpoint's requests."""
        return None if self.shared is None else self.shared.counts.cell(self.process, endpoint_key)

    def stop_with_parent(self, stop: asyncio.Event) -> None:
        """Stop in order should the parent die without a word."""
        if self.shared is not None:
            alive, loop = self.shared.alive, asyncio.get_running_loop()

            def ended() -> None:
                loop.remove_reader(alive)
                os.close(alive)
                stop.set()

            loop.add_reader(alive, ended)
