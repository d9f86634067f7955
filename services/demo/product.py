"""The whole product as processes on this machine: an embedded Kafka and Postgres, and every service."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from services.demo.control import answers
from services.demo.supervisor import Supervisor
from services.embedded.ports import free_port, is_free
from services.embedded.processes import ManagedProcess
from services.embedded.progress import Say
from services.embedded.stack import Stack

PROVIDER_KEY = "sk-simulated-provider"
"""The simulated provider takes any key; services find this one in their environment."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens, on the loopback interface."""

    gateway_port: int
    api_port: int
    provider_port: int

    @classmethod
    def free(cls) -> Self:
        """Addresses nobody listens on."""
        return cls(free_port(), free_port(), free_port())

    @classmethod
    def free_or(cls, wanted: Addresses) -> Addresses:
        """``wanted`` where nobody listens on it yet, else free ones."""
        ports = [wanted.gateway_port, wanted.api_port, wanted.provider_port]
        return wanted if all(is_free(port) for port in ports) else cls.free()

    @property
    def gateway(self) -> str:
        """The gateway's base URL."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def api(self) -> str:
        """The control plane's base URL."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def provider(self) -> str:
        """The simulated provider's base URL."""
        return f"http://127.0.0.1:{self.provider_port}"


@dataclass(slots=True)
class Product:
    """Headgate, running. Use as an async context manager.

    ``say`` receives lines of progress. Data is thrown away at the end unless ``data`` names a directory.
    """

    say: Say
    addresses: Addresses
    workers: int = 1
    data: Path | None = None
    admin_key: str = field(default_factory=lambda: f"admin-{secrets.token_urlsafe(12)}")
    stack: Stack = field(init=False)
    supervisor: Supervisor = field(init=False)
    _place: Path = field(init=False)
    _watching: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.stack = Stack(self.data, say=self.say)
        self.supervisor = Supervisor(self.say)
        self._place = self.data or Path(tempfile.mkdtemp(prefix="headgate-"))
        self._place.mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.stack.start)
            await self._start_services()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End every service in order (the gateway first), then Kafka and Postgres."""
        if self._watching is not None:
            self._watching.cancel()
        await self.supervisor.stop()
        await asyncio.to_thread(self.stack.stop)
        if self.data is None:
            shutil.rmtree(self._place, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every service, as environment variables."""
        return {
            **os.environ,
            "HEADGATE_KAFKA": self.stack.bootstrap_servers,
            "HEADGATE_DATABASE_URL": self.stack.database_url,
            "HEADGATE_ADMIN_KEY": self.admin_key,
            "HEADGATE_API_PORT": str(self.addresses.api_port),
            "HEADGATE_GATEWAY_PORT": str(self.addresses.gateway_port),
            "HEADGATE_GATEWAY_STATE_DIR": str(self._place / "gateway"),
            "HEADGATE_PROVIDER_PORT": str(self.addresses.provider_port),
            "SIMULATED_PROVIDER_KEY": PROVIDER_KEY,
        }

    async def _start_services(self) -> None:
        migrate = self._process("migrate")
        await asyncio.to_thread(migrate.run_to_end, 60.0)
        names = ["provider", "api", "routing", *["worker"] * self.workers, "gateway"]
        for number, name in enumerate(names):
            self.supervisor.start(self._process(name, f"{name}-{number}" if name == "worker" else name))
        self._watching = asyncio.create_task(self.supervisor.watch())
        ready = [self.addresses.api + "/readyz", self.addresses.gateway + "/readyz"]
        await asyncio.gather(*(answers(url, within_seconds=60.0) for url in ready))

    def _process(self, command: str, name: str | None = None) -> ManagedProcess:
        return ManagedProcess(
            f"headgate {name or command}",
            [sys.executable, "-m", "services.cli.main", command],
            log_path=self._place / f"{name or command}.log",
            env=self.environment,
        )
