"""Keeps a set of processes running: starts again, with backoff, what has exited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from services.embedded.errors import ProcessDied
from services.embedded.processes import ManagedProcess

LOOK_EVERY_SECONDS = 0.1
FIRST_BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 15.0
STEADY_AFTER_SECONDS = 20.0
"""A process that ran this long has earned a fresh backoff."""


@dataclass(slots=True)
class Supervised:
    """A process, and how its restarts are going."""

    process: ManagedProcess
    backoff_seconds: float = FIRST_BACKOFF_SECONDS
    started_at: float = 0.0
    restart_at: float | None = None
    restarts: int = 0


@dataclass(slots=True)
class Supervisor:
    """Runs processes until told to stop; ends them in reverse order of their start.

    ``say`` receives a line for everything a person would want to know.
    """

    say: Callable[[str], None]
    _running: list[Supervised] = field(default_factory=list)

    def start(self, process: ManagedProcess) -> None:
        """Start a process and keep it running."""
        process.start()
        self._running.append(Supervised(process, started_at=asyncio.get_running_loop().time()))

    def process(self, name: str) -> ManagedProcess:
        """Return the process of that name."""
        return next(one.process for one in self._running if one.process.name == name)

    def forget(self, name: str) -> ManagedProcess:
        """Leave a process to the caller: it is no longer started again or stopped here."""
        supervised = next(one for one in self._running if one.process.name == name)
        self._running.remove(supervised)
        return supervised.process

    async def watch(self) -> None:
        """Look after the processes until cancelled."""
        while True:
            for supervised in self._running:
                self._look_at(supervised, asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def stop(self) -> None:
        """End every process, the last started first, each in order."""
        while self._running:
            supervised = self._running.pop()
            await asyncio.to_thread(supervised.process.stop, 20.0)

    def _look_at(self, supervised: Supervised, now: float) -> None:
        process = supervised.process
        if process.running:
            return
        if supervised.restart_at is None:
            if now - supervised.started_at > STEADY_AFTER_SECONDS:
                supervised.backoff_seconds = FIRST_BACKOFF_SECONDS
            supervised.restart_at = now + supervised.backoff_seconds
            self.say(
                f"{process.name} exited with code {process.returncode}; starting it again in "
                f"{supervised.backoff_seconds:g} s (its log: {process.log_path})"
            )
            supervised.backoff_seconds = min(2 * supervised.backoff_seconds, LONGEST_BACKOFF_SECONDS)
        elif now >= supervised.restart_at:
            self._start_again(supervised, now)

    def _start_again(self, supervised: Supervised, now: float) -> None:
        supervised.restart_at = None
        supervised.started_at = now
        supervised.restarts += 1
        try:
            supervised.process.start()
        except ProcessDied as error:
            self.say(str(error))
