"""The whole product as processes on this machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from services.demo.control import ControlApi, answers
from services.demo.setup import create_key
from services.demo.supervisor import Supervisor
from services.embedded.ports import free_port, is_free
from services.embedded.processes import ManagedProcess
from services.embedded.progress import Say
from services.embedded.stack import Stack

PROVIDER_KEY = "sk-simulated-provider"
"""The simulated provider takes any key; the gateway finds this one in its environment."""
SERVERS_LOOKED_AT_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens, on the loopback interface."""

    gateway_port: int
    api_port: int
    provider_port: int
    routing_metrics_port: int
    worker_metrics_ports: tuple[int, ...]
    """One for each worker process."""

    @classmethod
    def free(cls, workers: int = 1) -> Self:
        """Addresses nobody listens on."""
        gateway, api, provider, routing, *of_workers = (free_port() for _ in range(4 + workers))
        return cls(gateway, api, provider, routing, tuple(of_workers))

    @classmethod
    def free_or(cls, wanted: Addresses) -> Addresses:
        """``wanted`` where nobody listens on it yet, else free ones."""
        ports = (wanted.gateway_port, wanted.api_port, wanted.provider_port, wanted.routing_metrics_port)
        is_there = all(is_free(port) for port in (*ports, *wanted.worker_metrics_ports))
        return wanted if is_there else cls.free(wanted.workers)

    @property
    def workers(self) -> int:
        """How many worker processes there are."""
        return len(self.worker_metrics_ports)

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

    @property
    def metrics(self) -> dict[str, str]:
        """Where each process shows its metrics, by the process's name."""
        places = {"gateway": self.gateway_port, "api": self.api_port, "routing": self.routing_metrics_port}
        places |= {f"worker-{number}": port for number, port in enumerate(self.worker_metrics_ports, 1)}
        return {name: f"http://127.0.0.1:{port}/metrics" for name, port in places.items()}


def new_admin_key() -> str:
    """Return a key nobody can guess."""
    return f"admin-{secrets.token_urlsafe(12)}"


@dataclass(slots=True)
class Product:
    """Every service of Headgate as a supervised process, on a Kafka and a Postgres that are there already.

    Use as an async context manager. ``place`` takes logs and the gateway's state; ``say`` receives lines of
    progress.
    """

    kafka: str
    database_url: str
    place: Path
    say: Say
    addresses: Addresses = field(default_factory=Addresses.free)
    topic_prefix: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    admin_key: str = field(default_factory=new_admin_key)
    supervisor: Supervisor = field(init=False)
    _watching: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.say)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End every service in order, the gateway first."""
        if self._watching is not None:
            self._watching.cancel()
        await self.supervisor.stop()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every service, as environment variables."""
        return {
            **os.environ,
            "HEADGATE_KAFKA": self.kafka,
            "HEADGATE_TOPIC_PREFIX": self.topic_prefix,
            "HEADGATE_DATABASE_URL": self.database_url,
            "HEADGATE_ADMIN_KEY": self.admin_key,
            "HEADGATE_API_PORT": str(self.addresses.api_port),
            "HEADGATE_API_GATEWAY_URL": self.addresses.gateway,
            "HEADGATE_API_GATEWAY_KEY": f"file:{self.health_key_path}",
            "HEADGATE_GATEWAY_PORT": str(self.addresses.gateway_port),
            "HEADGATE_GATEWAY_FEEDBACK_KEY": f"file:{self.feedback_key_path}",
            "HEADGATE_GATEWAY_STATE_DIR": str(self.place / "gateway"),
            "HEADGATE_PROVIDER_PORT": str(self.addresses.provider_port),
            "HEADGATE_ROUTING_METRICS_PORT": str(self.addresses.routing_metrics_port),
            "SIMULATED_PROVIDER_KEY": PROVIDER_KEY,
            **self.settings,
        }

    @property
    def health_key_path(self) -> Path:
        """The file with the key that the api sends health checks with."""
        return self.place / "health-check-key"

    @property
    def feedback_key_path(self) -> Path:
        """The file with the key that feedback tokens are signed with, so that they outlive the gateway."""
        return self.place / "feedback-key"

    def keep_feedback_key(self) -> None:
        """Make the key of feedback tokens, unless an earlier run has."""
        if not self.feedback_key_path.exists():
            _write_secret(self.feedback_key_path, secrets.token_hex(32))

    async def _start(self) -> None:
        self.keep_feedback_key()
        migrate = self._process("migrate")
        await asyncio.to_thread(migrate.run_to_end, 60.0)
        names = [
            "provider",
            "api",
            "routing",
            *(f"worker-{n + 1}" for n in range(self.addresses.workers)),
            "gateway",
        ]
        for name in names:
            self.supervisor.start(self._process(name))
        self._watching = asyncio.create_task(self.supervisor.watch())
        ready = [self.addresses.api + "/readyz", self.addresses.gateway + "/readyz"]
        await asyncio.gather(*(answers(url, within_seconds=60.0) for url in ready))
        if not self.health_key_path.exists():
            await self._create_health_key()

    async def _create_health_key(self) -> None:
        async with ControlApi(self.addresses.api, self.admin_key) as api:
            key = await create_key(api, "health checks", scopes=["force_variant"])
        _write_secret(self.health_key_path, key)

    def _process(self, name: str) -> ManagedProcess:
        command, _, number = name.partition("-")
        environment = self.environment
        if number:
            port = self.addresses.worker_metrics_ports[int(number) - 1]
            environment["HEADGATE_WORKER_METRICS_PORT"] = str(port)
        return ManagedProcess(
            name,
            [sys.executable, "-m", "services.cli.main", command],
            log_path=self.place / f"{name}.log",
            env=environment,
        )


def _write_secret(path: Path, secret: str) -> None:
    """Write what its owner only may read."""
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n")


async def _keep_running(stack: Stack, say: Say) -> None:
    """Start Kafka or Postgres again where it has ended by itself: same port, same data."""
    while True:
        await asyncio.sleep(SERVERS_LOOKED_AT_EVERY_SECONDS)
        for server in (stack.kafka, stack.postgres):
            if not server.process.running:
                say(f"{server.name} exited with code {server.process.returncode}; starting it again")
                await asyncio.to_thread(server.start)


@asynccontextmanager
async def on_embedded_stack(
    say: Say,
    addresses: Addresses,
    *,
    data: Path | None = None,
    admin_key: str | None = None,
) -> AsyncIterator[tuple[Product, Stack]]:
    """Run the product on an embedded Kafka and Postgres; data is thrown away unless ``data`` is given."""
    place = data or Path(tempfile.mkdtemp(prefix="headgate-"))
    place.mkdir(parents=True, exist_ok=True)
    stack = Stack(data, say=say)
    watching: asyncio.Task[None] | None = None
    try:
        await asyncio.to_thread(stack.start)
        watching = asyncio.create_task(_keep_running(stack, say))
        async with Product(
            stack.bootstrap_servers,
            stack.database_url,
            place,
            say,
            addresses=addresses,
            admin_key=admin_key or new_admin_key(),
        ) as product:
            yield product, stack
    finally:
        if watching is not None:
            watching.cancel()
        await asyncio.to_thread(stack.stop)
        if data is None:
            shutil.rmtree(place, ignore_errors=True)
