"""Kafka and Postgres together, started at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.embedded.progress import Say, say_to_stderr
from services.embedded.server import EmbeddedServer


class Stack:
    """The two servers Headgate needs, for as long as this process lives.

    Args:
        data_dir: where both keep their data; temporary directories when None
        scratch_in: where to make the temporary directories; where the system keeps such when None
        kafka_port, postgres_port: ports to listen on; free ones when None
        say: receives lines of progress
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        scratch_in: Path | None = None,
        kafka_port: int | None = None,
        postgres_port: int | None = None,
        say: Say = say_to_stderr,
    ) -> None:
        kafka_dir = None if data_dir is None else data_dir / "kafka"
        postgres_dir = None if data_dir is None else data_dir / "postgres"
        self._say = say
        self.kafka = EmbeddedKafka(kafka_dir, scratch_in=scratch_in, port=kafka_port, say=say)
        self.postgres = EmbeddedPostgres(postgres_dir, scratch_in=scratch_in, port=postgres_port, say=say)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def description(self) -> str:
        """How it ran, in one phrase."""
        return (
            f"Apache Kafka {self.kafka.version} at {self.bootstrap_servers} and "
            f"PostgreSQL {self.postgres.version} at 127.0.0.1:{self.postgres.port}, embedded"
        )

    def start(self) -> None:
        """Start both; when one fails, neither is left running."""
        try:
            with ThreadPoolExecutor(2) as pool:
                for started in [pool.submit(self._start, server) for server in (self.kafka, self.postgres)]:
                    started.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both."""
        with ThreadPoolExecutor(2) as pool:
            for stopped in [pool.submit(server.stop) for server in (self.kafka, self.postgres)]:
                stopped.result()

    def _start(self, server: EmbeddedServer) -> None:
        began = time.monotonic()
        server.start()
        seconds = time.monotonic() - began
        self._say(f"{server.name} {server.version} is ready on port {server.port} ({seconds:.1f} s)")
