"""The bare ASGI callables as contenders, in Headgate's own environment: same uvicorn, uvloop and parser."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.gateway.contender import Contender, Surroundings, running, until_listening
from benchmarks.gateway.load import Target
from services.embedded.ports import free_port
from services.embedded.processes import ManagedProcess


@dataclass(frozen=True, slots=True)
class Bare:
    """Starts the bare callable with one of its clients."""

    client: str

    def __call__(self, given: Surroundings) -> AbstractAsyncContextManager[Contender]:
        """Run it."""
        return self._run(given)

    @asynccontextmanager
    async def _run(self, given: Surroundings) -> AsyncIterator[Contender]:
        port, name = free_port(), f"bare-{self.client}"
        command = [sys.executable, "-m", "benchmarks.gateway.bare"]
        process = ManagedProcess(
            name,
            [*command, str(port), str(given.upstream_port), self.client],
            log_path=given.place / f"{name}.log",
        )
        async with running(process):
            await until_listening(process, port)
            versions = f"uvicorn {version('uvicorn')}, {self.client} {version(self.client)}"
            yield Contender(name, versions, process.pid, Target(port, "/v1/chat/completions", ("static",)))
