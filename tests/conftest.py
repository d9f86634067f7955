"""Fixtures that every test may ask for; nothing is started before a test asks.

The servers live for the session. Each test that asks gets its own database, cloned from a migrated template,
and its own prefix for topics, and both are removed after it.
"""

import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from hypothesis import settings

from services.embedded.databases import close_to_connections, create_database, drop_database
from services.embedded.kafka import EmbeddedKafka
from services.embedded.postgres import EmbeddedPostgres
from tests.stack import Servers, running_servers

SESSION = uuid.uuid4().hex[:8]
NUMBERS = itertools.count()
SENTENCES = pytest.StashKey[set[str]]()
REPORTED = "headgate_servers"

# How long an example takes says what else the machine is doing: no test asserts a time.
settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the sentences that say which servers were used."""
    config.stash[SENTENCES] = set()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a parallel worker used."""
    node.config.stash[SENTENCES].update(getattr(node, "workeroutput", {}).get(REPORTED, ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a parallel worker, hand on what was used."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[REPORTED] = sorted(session.config.stash[SENTENCES])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which servers were used, if any were."""
    for sentence in sorted(config.stash[SENTENCES]):
        terminalreporter.write_line(sentence)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Kafka and Postgres, wherever they come from."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    reporter = request.config.pluginmanager.getplugin("terminalreporter")

    def say(line: str) -> None:
        if reporter is None:  # a parallel worker has no terminal
            return
        with capture.global_and_fixture_disabled():
            reporter.write(f"\n{line}")

    with running_servers(say) as servers:
        request.config.stash[SENTENCES].add(servers.sentence)
        yield servers


@pytest.fixture(scope="session")
def kafka(stack: Servers) -> str:
    """Kafka's bootstrap servers."""
    return stack.kafka.address


@pytest.fixture(scope="session")
def postgres(stack: Servers) -> str:
    """The URL of a database whose user may create others."""
    return stack.postgres.address


@pytest.fixture(scope="session")
def migrated_template(postgres: str) -> Iterator[str]:
    """The name of a database with every migration applied, for cloning."""
    from services.storage.migrate import upgrade  # noqa: PLC0415 - only tests of storage need migrations

    name = f"headgate_test_{SESSION}_template"
    upgrade(create_database(postgres, name))
    close_to_connections(postgres, name)
    yield name
    drop_database(postgres, name)


@pytest.fixture
def database_url(postgres: str, migrated_template: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    yield from _database(postgres, migrated_template)


@pytest.fixture(scope="module")
def module_database_url(postgres: str, migrated_template: str) -> Iterator[str]:
    """A migrated database that the tests of one module share."""
    yield from _database(postgres, migrated_template)


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """A database without any table, of this test's own."""
    yield from _database(postgres, None)


def _database(postgres: str, template: str | None) -> Iterator[str]:
    name = f"headgate_test_{SESSION}_{next(NUMBERS)}"
    yield create_database(postgres, name, template)
    drop_database(postgres, name)


@pytest.fixture(scope="session")
async def kafka_admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def topic_prefix(kafka_admin: AIOKafkaAdminClient) -> AsyncIterator[str]:
    """What this test puts before the name of every topic and group; its topics are deleted after it."""
    async for prefix in _topic_prefix(kafka_admin):
        yield prefix


@pytest.fixture(scope="module")
async def module_topic_prefix(kafka_admin: AIOKafkaAdminClient) -> AsyncIterator[str]:
    """A prefix that the tests of one module share."""
    async for prefix in _topic_prefix(kafka_admin):
        yield prefix


async def _topic_prefix(admin: AIOKafkaAdminClient) -> AsyncIterator[str]:
    prefix = f"test-{SESSION}-{next(NUMBERS)}."
    yield prefix
    with suppress(KafkaError):
        created = [name for name in await admin.list_topics() if name.startswith(prefix)]
        if created:
            await admin.delete_topics(created)


@pytest.fixture
def own_kafka() -> Iterator[EmbeddedKafka]:
    """An embedded Kafka of this test's own, to be stopped, killed and restarted (takes two seconds)."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """An embedded Postgres of this test's own, to be stopped, killed and restarted."""
    with EmbeddedPostgres() as postgres:
        yield postgres
