"""Several processes behind one port: a parent that only looks after them.

The parent binds the port and forks; every child accepts from the one socket it inherits, so a connection
that waits to be accepted is not lost with the process that dies. The parent starts again what has exited,
with backoff. SIGTERM or SIGINT drain all: the parent lets go of the socket, the children finish what they
serve. Should the parent itself be killed, each child sees the end of a pipe and drains by itself.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from services.gateway.board import Board
from services.gateway.feedback_keys import random_key
from services.gateway.limits import SharedCounts
from services.gateway.place import Place, Shared
from services.gateway.server import address_of, listen
from services.gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 15.0
STEADY_AFTER_SECONDS = 20.0
"""A process that ran this long has earned a fresh backoff."""
LOOK_SECONDS = 1.0
STOP_MARGIN_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(slots=True)
class _Child:
    """One of the processes, and how its restarts are going."""

    process: int
    pid: int | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    backoff_seconds: float = FIRST_BACKOFF_SECONDS


class ProcessGroup:
    """Runs ``main`` in each of ``count`` processes until it is told to stop.

    ``grace_seconds`` bounds how long a process may take to stop. Must be made before any event loop or
    thread, as it forks.
    """

    def __init__(
        self, count: int, bound: socket.socket, main: Callable[[Place], None], *, grace_seconds: float
    ) -> None:
        self._bound = bound
        self._main = main
        self._grace_seconds = grace_seconds
        self._children = [_Child(process) for process in range(count)]
        self._board = Board(count)
        self._counts = SharedCounts(count)
        self._feedback_key = random_key()
        self._alive, self._held = os.pipe()
        self._woken, self._waker = os.pipe()
        self._stopping = False

    def run(self) -> int:
        """Look after the processes until a signal ends it; return the exit status."""
        self._watch_signals()
        while not self._stopping:
            self._reap()
            self._start_due()
            self._wait(LOOK_SECONDS)
        return self._stop()

    def _watch_signals(self) -> None:
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stopping = self._stopping or number != signal.SIGCHLD

    def _wait(self, seconds: float) -> None:
        due = [child.start_at for child in self._children if child.pid is None]
        if due and not self._stopping:
            seconds = min(seconds, max(0.0, min(due) - time.monotonic()))
        select.select([self._woken], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.pid is None and child.start_at <= now:
                child.started_at = now
                child.pid = os.fork()
                if child.pid == 0:
                    self._be(child.process)

    def _be(self, process: int) -> None:
        """Be a child, to the end of this process."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for inherited in (self._held, self._woken, self._waker):
                os.close(inherited)
            shared = Shared(self._bound, self._board, self._counts, self._alive, self._feedback_key)
            self._main(Place(process, shared))
            status = 0
        except BaseException:
            # Nothing of the parent's call stack may run in its child.
            logger.exception("gateway process %d failed", process + 1)
        finally:
            logging.shutdown()
            os._exit(status)

    def _reap(self) -> list[int]:
        """Take note of whoever has exited; return their exit statuses."""
        statuses = []
        for child in self._children:
            if child.pid is None:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                statuses.append(os.waitstatus_to_exitcode(status))
                self._note_exit(child, statuses[-1])
        return statuses

    def _note_exit(self, child: _Child, status: int) -> None:
        self._board.clear(child.process)
        self._counts.clear(child.process)
        child.pid = None
        if self._stopping:
            return
        now = time.monotonic()
        if now - child.started_at > STEADY_AFTER_SECONDS:
            child.backoff_seconds = FIRST_BACKOFF_SECONDS
        child.start_at = now + child.backoff_seconds
        logger.warning(
            "gateway process %d exited with %d; starting it again in %g s",
            child.process + 1,
            status,
            child.backoff_seconds,
        )
        child.backoff_seconds = min(2 * child.backoff_seconds, LONGEST_BACKOFF_SECONDS)

    def _stop(self) -> int:
        # Nobody may connect to a socket that no process accepts from any more.
        self._bound.close()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace_seconds
        statuses: list[int] = []
        while any(child.pid for child in self._children):
            if time.monotonic() > deadline:
                logger.error("killing the processes that have not stopped within %g s", self._grace_seconds)
                self._signal(signal.SIGKILL)
            self._wait(LOOK_SECONDS)
            statuses += self._reap()
        # One that had not begun to serve dies of the signal itself.
        return 0 if all(status in (0, -signal.SIGTERM) for status in statuses) else 1

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid is not None:
                os.kill(child.pid, number)


def run_processes(count: int, settings: GatewaySettings, main: Callable[[Place], None]) -> int:
    """Run a gateway in ``count`` processes; return the exit status."""
    bound = listen(settings.host, settings.port)
    logger.info("%d gateway processes share %s", count, address_of(bound))
    grace = settings.stream_grace_seconds + settings.flush_grace_seconds + STOP_MARGIN_SECONDS
    return ProcessGroup(count, bound, main, grace_seconds=grace).run()
