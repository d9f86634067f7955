"""What every contender is, once it runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.load import Target
from services.embedded.errors import NotReady
from services.embedded.ports import LOOPBACK
from services.embedded.processes import ManagedProcess
from services.embedded.progress import Say

READY_WITHIN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a contender is given: the upstream, a directory for its files, and somebody to tell."""

    upstream_port: int
    place: Path
    say: Say

    @property
    def base_url(self) -> str:
        """The upstream as an OpenAI client's base URL."""
        return f"http://{LOOPBACK}:{self.upstream_port}/v1"


@dataclass(frozen=True, slots=True)
class Contender:
    """A gateway that runs: ``pid`` is the root of the processes that are counted."""

    name: str
    version: str
    pid: int
    target: Target


Start = Callable[[Surroundings], AbstractAsyncContextManager[Contender]]


@asynccontextmanager
async def running(process: ManagedProcess) -> AsyncIterator[ManagedProcess]:
    """Run the process meanwhile; the event loop goes on while it stops."""
    process.start()
    try:
        yield process
    finally:
        await asyncio.to_thread(process.stop)


async def until_listening(process: ManagedProcess, port: int) -> None:
    """Return once something accepts connections on the port; ProcessDied or NotReady otherwise."""

    async def connects() -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return True
        return False

    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    while not await connects():
        process.raise_if_dead()
        if time.monotonic() > give_up_at:
            raise NotReady(f"{process.name} does not listen on port {port}{process.tail_for_error()}")
        await asyncio.sleep(0.05)
