"""Kafka and Postgres in containers, for machines where a Docker engine answers."""

import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from services.embedded import kafka_probe
from services.embedded.kafka_settings import one_node
from services.embedded.ports import free_port

KAFKA_IMAGE = "apache/kafka:4.1.0"
POSTGRES_IMAGE = "postgres:18-alpine"
DEFAULT_ENGINE = "unix:///var/run/docker.sock"
ENGINE_ANSWERS_WITHIN_SECONDS = 2
READY_WITHIN_SECONDS = 60
PASSWORD = "headgate"


class NoContainer(Exception):
    """A Docker engine answers, but a container did not start: no registry to pull from, say."""


def engine_answers() -> bool:
    """Whether there is a Docker engine; asked over a plain socket, since an absent one must not cost time."""
    try:
        with engine_socket(os.environ.get("DOCKER_HOST", DEFAULT_ENGINE)) as engine:
            engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in engine.recv(64)
    except (OSError, ValueError):
        return False


def engine_socket(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname, parts.port or 2375), ENGINE_ANSWERS_WITHIN_SECONDS)
    if parts.scheme != "unix":
        raise ValueError(f"DOCKER_HOST={address} is neither unix:// nor tcp://")
    engine = socket.socket(socket.AF_UNIX)
    engine.settimeout(ENGINE_ANSWERS_WITHIN_SECONDS)
    try:
        engine.connect(parts.path)
    except OSError:
        engine.close()
        raise
    return engine


@contextmanager
def kafka_container() -> Iterator[str]:
    """A one-node Kafka, set up as the embedded one; yields its bootstrap servers. Raises NoContainer."""
    with explained():
        from testcontainers.core.config import ConnectionMode  # noqa: PLC0415 - slow to import
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        container = DockerContainer(KAFKA_IMAGE)
        engine = container.get_docker_client()
        if engine.get_connection_mode() != ConnectionMode.docker_host:
            raise NoContainer("from inside a container, the address Kafka has to advertise is not known")
        host, port = engine.host(), free_port()
        container.with_bind_ports(9092, port)
        for name, value in one_node(":9092", "localhost:9093", f"{host}:{port}").items():
            container.with_env("KAFKA_" + name.replace(".", "_").upper(), str(value))
    with running(container):
        with explained():
            await_kafka(host, port)
        yield f"{host}:{port}"


@contextmanager
def postgres_container() -> Iterator[str]:
    """A PostgreSQL that does not wait for disks; yields its SQLAlchemy URL. Raises NoContainer."""
    with explained():
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - slow to import

        container = PostgresContainer(
            POSTGRES_IMAGE, username="headgate", password=PASSWORD, dbname="headgate", driver="psycopg"
        ).with_command("postgres -c fsync=off -c max_connections=200 -c timezone=UTC")
    with running(container):
        yield container.get_connection_url()


@contextmanager
def running(container: Any) -> Iterator[None]:
    with explained():
        container.start()
    try:
        yield
    finally:
        with explained():
            container.stop()


@contextmanager
def explained() -> Iterator[None]:
    """Whatever keeps a container from starting becomes NoContainer.

    The libraries' own deprecations and unclosed sockets are not this project's errors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from docker.errors import DockerException  # noqa: PLC0415 - slow to import

        try:
            yield
        except (DockerException, OSError, RuntimeError) as error:  # testcontainers' own are RuntimeErrors
            raise NoContainer(str(error)) from error


def await_kafka(host: str, port: int) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    while not kafka_probe.answers(port, host):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"Kafka in Docker did not answer at {host}:{port}")
        time.sleep(0.1)
