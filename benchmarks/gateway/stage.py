"""The stage contenders run on: a directory that goes away, a Kafka, the static upstream."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.contender import Surroundings, running, until_listening
from services.embedded.kafka import EmbeddedKafka
from services.embedded.ports import free_port
from services.embedded.processes import ManagedProcess
from services.embedded.progress import Say


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that is there before a contender is."""

    given: Surroundings
    bootstrap_servers: str


@asynccontextmanager
async def staged(say: Say) -> AsyncIterator[Stage]:
    """Set the stage, and clear it at the end."""
    port = free_port()
    kafka = EmbeddedKafka(say=say)
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as directory:
        place = Path(directory)
        upstream = ManagedProcess(
            "the static upstream",
            [sys.executable, "-m", "benchmarks.gateway.upstream", str(port)],
            log_path=place / "upstream.log",
            scratch=place,  # so that it goes, too, if this process is killed
        )
        try:
            await asyncio.to_thread(kafka.start)
            async with running(upstream):
                await until_listening(upstream, port)
                yield Stage(Surroundings(port, place, say), kafka.bootstrap_servers)
        finally:
            await asyncio.to_thread(kafka.stop)
