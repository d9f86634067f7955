"""A gateway in processes of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.embedded.ports import free_port
from tests.integration.gateway.running import Installation, RunningGateway


@asynccontextmanager
async def gateway_process(
    installation: Installation, state_dir: Path, *arguments: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, RunningGateway]]:
    """A gateway started as people start it."""
    port = free_port()
    environment = os.environ | {
        "HEADGATE_KAFKA": installation.kafka.kafka,
        "HEADGATE_TOPIC_PREFIX": installation.kafka.topic_prefix,
        "HEADGATE_GATEWAY_PORT": str(port),
        "HEADGATE_GATEWAY_STATE_DIR": str(state_dir),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli.main", "gateway", *arguments, env=environment
    )
    try:
        gateway = RunningGateway(f"http://127.0.0.1:{port}", asyncio.Event())
        await gateway.until_up()
        yield process, gateway
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
