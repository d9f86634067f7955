"""Which servers the tests choose: the environment first, then Docker, then the embedded stack."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import stack
from tests.containers import NoContainer, engine_answers
from tests.stack import running_servers


@contextmanager
def container(address: str) -> Iterator[str]:
    yield address


@contextmanager
def no_container() -> Iterator[str]:
    yield from nothing()


def nothing() -> Iterator[str]:
    raise NoContainer("no such image")


def silent(_: str) -> None:
    pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Docker engine that answers, and containers that only have addresses."""
    monkeypatch.delenv("HEADGATE_KAFKA", raising=False)
    monkeypatch.delenv("HEADGATE_DATABASE_URL", raising=False)
    monkeypatch.setattr(stack, "engine_answers", lambda: True)
    monkeypatch.setattr(stack, "kafka_container", lambda: container("docker:1"))
    monkeypatch.setattr(stack, "postgres_container", lambda: container("postgresql://docker"))


@pytest.mark.usefixtures("engine")
def test_containers_are_used_where_an_engine_answers() -> None:
    with running_servers(silent) as servers:
        assert servers.kafka.address == "docker:1"
        assert servers.postgres.address == "postgresql://docker"
        assert "in Docker" in servers.kafka.source


@pytest.mark.usefixtures("engine")
def test_addresses_in_the_environment_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_KAFKA", "given:9092")
    with running_servers(silent) as servers:
        assert servers.kafka.address == "given:9092"
        assert servers.kafka.source == "given by HEADGATE_KAFKA"
        assert servers.postgres.address == "postgresql://docker"


@pytest.mark.usefixtures("engine")
def test_a_container_that_does_not_start_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(stack, "postgres_container", no_container)
    with running_servers(said.append) as servers:
        assert servers.kafka.address == "docker:1"
        assert servers.postgres.source == "(embedded)"
    assert any("did not start" in line and "no such image" in line for line in said)


@pytest.mark.usefixtures("engine")
def test_without_an_engine_the_rest_is_embedded(monkeypatch: pytest.MonkeyPatch, kafka: str) -> None:
    monkeypatch.setenv("HEADGATE_KAFKA", kafka)
    monkeypatch.setattr(stack, "engine_answers", lambda: False)
    with running_servers(silent) as servers:
        assert servers.postgres.source == "(embedded)"
        assert "PostgreSQL 18" in servers.sentence


def test_an_engine_is_asked_on_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    assert not engine_answers()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer_ping, args=(listener,))
        thread.start()
        assert engine_answers()
        thread.join()


def test_a_silent_engine_costs_little_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr("tests.containers.ENGINE_ANSWERS_WITHIN_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        began = time.monotonic()
        assert not engine_answers()
        assert time.monotonic() - began < 2


def answer_ping(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(256)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")
