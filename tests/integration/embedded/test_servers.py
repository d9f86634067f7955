"""The embedded servers do what real ones do, and keep port and data through restarts."""

import asyncio
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.embedded.databases import (
    close_to_connections,
    connection_string,
    create_database,
    drop_database,
)
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres


async def create_topic(kafka: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()


async def produce(kafka: str, topic: str, value: bytes, *, transactional_id: str | None = None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=transactional_id) as producer:
        if transactional_id is None:
            await producer.send_and_wait(topic, value)
        else:
            async with producer.transaction():
                await producer.send_and_wait(topic, value)


async def consume(kafka: str, topic: str, count: int, group: str | None = None) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=group,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with consumer:
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(connection_string(url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


async def test_kafka_carries_records_to_a_group_and_in_transactions(kafka: str, topic_prefix: str) -> None:
    topic = topic_prefix + "records"
    await create_topic(kafka, topic)
    await produce(kafka, topic, b"plain")
    await produce(kafka, topic, b"transactional", transactional_id=topic_prefix + "writer")
    assert await consume(kafka, topic, 2, group=topic_prefix + "readers") == [b"plain", b"transactional"]


async def test_kafka_keeps_port_and_records_through_restart_and_crash(own_kafka: EmbeddedKafka) -> None:
    address = own_kafka.bootstrap_servers
    await create_topic(address, "kept")
    await produce(address, "kept", b"before")
    own_kafka.restart()
    assert own_kafka.bootstrap_servers == address
    await produce(address, "kept", b"after")
    own_kafka.kill()
    own_kafka.restart()
    assert own_kafka.bootstrap_servers == address
    assert await consume(address, "kept", 2) == [b"before", b"after"]


def test_postgres_keeps_port_and_rows_through_restart_and_crash(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.url
    rows(url, "CREATE TABLE kept (value int)")
    own_postgres.restart()
    rows(url, "INSERT INTO kept VALUES (1)")
    with psycopg.connect(connection_string(url)) as idle:
        own_postgres.kill()
        own_postgres.restart()
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert own_postgres.url == url
    assert rows(url, "SELECT value FROM kept") == [(1,)]


def test_postgres_is_set_up_as_production_would_be(postgres: str) -> None:
    assert rows(postgres, "SHOW timezone") in ([("UTC",)], [("Etc/UTC",)])
    assert rows(postgres, "SHOW server_encoding") == [("UTF8",)]
    assert rows(postgres, "SELECT upper('ä')") == [("Ä",)]


def test_databases_are_cloned_from_a_closed_template(postgres: str, empty_database_url: str) -> None:
    template = empty_database_url.rsplit("/", 1)[1].partition("?")[0]
    rows(empty_database_url, "CREATE TABLE cloned (value int)")
    with psycopg.connect(connection_string(empty_database_url)):
        close_to_connections(postgres, template)
    copy = create_database(postgres, f"{template}_copy", template)
    try:
        assert rows(copy, "SELECT count(*) FROM cloned") == [(0,)]
    finally:
        drop_database(postgres, f"{template}_copy")
    drop_database(postgres, f"{template}_copy")  # a second time is no error


def test_a_given_directory_keeps_its_data(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as first:
        rows(first.url, "CREATE TABLE kept (value int)")
    with EmbeddedPostgres(tmp_path / "postgres") as second:
        assert rows(second.url, "SELECT count(*) FROM kept") == [(0,)]
        assert rows(second.url, "SHOW fsync") == [("on",)]


async def test_kafka_in_a_given_directory_keeps_its_records(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kafka") as first:
        await create_topic(first.bootstrap_servers, "kept")
        await produce(first.bootstrap_servers, "kept", b"value")
    with EmbeddedKafka(tmp_path / "kafka") as second:
        assert await consume(second.bootstrap_servers, "kept", 1) == [b"value"]


def test_a_cluster_id_may_begin_with_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 64 does, and Kafka's storage tool must not take it for an option."""
    monkeypatch.setattr("services.embedded.kafka.uuid.uuid4", lambda: UUID(int=0xFB << 120))
    with EmbeddedKafka() as kafka:
        assert kafka.process.running


def test_a_temporary_server_leaves_no_files() -> None:
    with EmbeddedPostgres() as server:
        place = server.process.log_path.parent
        assert place.is_dir()
    assert not place.exists()
