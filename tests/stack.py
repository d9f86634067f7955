"""Which Kafka and Postgres the tests run against.

In this order, each of the two by itself: the address given in the environment (``HEADGATE_KAFKA``,
``HEADGATE_DATABASE_URL``), a container where a Docker engine answers, the embedded server.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from services.embedded.databases import connection_string
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from services.embedded.progress import Say
from services.embedded.stack import Stack
from tests.containers import (
    KAFKA_IMAGE,
    POSTGRES_IMAGE,
    NoContainer,
    engine_answers,
    kafka_container,
    postgres_container,
)

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the servers make directories of random names there
ROOM_BYTES = 3 << 30


@dataclass(frozen=True)
class Server:
    """Where a server is, and where it comes from."""

    address: str
    source: str


@dataclass(frozen=True)
class Servers:
    """What the tests run against."""

    kafka: Server
    postgres: Server

    @property
    def sentence(self) -> str:
        """For the end of the report: what was used."""
        with psycopg.connect(connection_string(self.postgres.address)) as connection:
            (version,) = connection.execute("SHOW server_version").fetchone() or ("?",)
        return f"Ran against Kafka {self.kafka.source} and PostgreSQL {version} {self.postgres.source}."


@contextmanager
def running_servers(say: Say) -> Iterator[Servers]:
    """Servers for one session of tests."""
    kafka, postgres = given("HEADGATE_KAFKA"), given("HEADGATE_DATABASE_URL")
    with ExitStack() as held:
        if not (kafka and postgres) and engine_answers():
            kafka = kafka or in_docker(held, kafka_container(), KAFKA_IMAGE, say)
            postgres = postgres or in_docker(held, postgres_container(), POSTGRES_IMAGE, say)
        if not (kafka or postgres):
            stack = held.enter_context(Stack(scratch_in=in_memory(), say=say))
            kafka, postgres = embedded_kafka(stack.kafka), embedded_postgres(stack.postgres)
        kafka = kafka or embedded_kafka(held.enter_context(EmbeddedKafka(scratch_in=in_memory(), say=say)))
        postgres = postgres or embedded_postgres(
            held.enter_context(EmbeddedPostgres(scratch_in=in_memory(), say=say))
        )
        yield Servers(kafka, postgres)


def in_memory() -> Path | None:
    """A directory in memory, where there is one with room; None otherwise.

    Each test has a database of its own, which is 400 files. Made and removed hundreds of times on a disk they
    take minutes: ext4 searches past every inode that was freed in the last seconds.
    """
    try:
        has_room = shutil.disk_usage(SHARED_MEMORY).free >= ROOM_BYTES
    except OSError:
        return None
    return SHARED_MEMORY if has_room else None


def given(variable: str) -> Server | None:
    address = os.environ.get(variable)
    return Server(address, f"given by {variable}") if address else None


def in_docker(held: ExitStack, container: AbstractContextManager[str], image: str, say: Say) -> Server | None:
    say(f"A Docker engine answers: starting {image}")
    try:
        return Server(held.enter_context(container), f"in Docker ({image})")
    except NoContainer as error:
        say(f"{image} did not start, so its embedded counterpart is used: {error}")
        return None


def embedded_kafka(kafka: EmbeddedKafka) -> Server:
    return Server(kafka.bootstrap_servers, f"{kafka.version} (embedded)")


def embedded_postgres(postgres: EmbeddedPostgres) -> Server:
    return Server(postgres.url, "(embedded)")
