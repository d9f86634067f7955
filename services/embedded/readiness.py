"""Waiting for a server to answer, watching that it lives."""

import time
from collections.abc import Callable

from services.embedded.errors import NotReady
from services.embedded.processes import ManagedProcess

READY_WITHIN_SECONDS = 60.0
POLL_SECONDS = 0.02


def await_ready(process: ManagedProcess, answers: Callable[[], bool]) -> None:
    """Return once ``answers()``; otherwise end the process and raise ProcessDied or NotReady with its log."""
    try:
        _poll(process, answers, time.monotonic() + READY_WITHIN_SECONDS)
        process.raise_if_dead()  # or it was another server that answered
    except BaseException:
        process.kill()
        raise


def _poll(process: ManagedProcess, answers: Callable[[], bool], give_up_at: float) -> None:
    while not answers():
        process.raise_if_dead()
        if time.monotonic() > give_up_at:
            seconds = f"{READY_WITHIN_SECONDS:.0f} s"
            raise NotReady(f"{process.name} did not answer within {seconds}{process.tail_for_error()}")
        time.sleep(POLL_SECONDS)
