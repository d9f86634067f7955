"""The development stack's supervisor, with real processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from services.demo.supervisor import Supervisor
from services.embedded.processes import ManagedProcess


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def sleeper(tmp_path: Path, name: str, seconds: float) -> ManagedProcess:
    return ManagedProcess(
        name, [sys.executable, "-c", f"import time; time.sleep({seconds})"], log_path=tmp_path / f"{name}.log"
    )


async def test_what_exits_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    process = sleeper(tmp_path, "steady", 60)
    supervisor.start(process)
    first = process.pid
    watching = asyncio.create_task(supervisor.watch())
    process.kill()
    await until(lambda: process.running and process.pid != first)
    watching.cancel()
    await supervisor.stop()
    assert not process.running
    assert "steady exited" in said[0]


async def test_what_exits_at_once_is_started_again_less_and_less_often(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.start(sleeper(tmp_path, "failing", 0))
    watching = asyncio.create_task(supervisor.watch())
    await until(lambda: len(said) >= 3)
    watching.cancel()
    await supervisor.stop()
    assert ["0.25 s" in said[0], "0.5 s" in said[1], "1 s" in said[2]] == [True] * 3
