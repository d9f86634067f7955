"""A gateway and a provider inside the test's process, and the hand that writes their configuration."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai

from services.demo import provider
from services.demo.provider_settings import ProviderSettings
from services.domain.access import hash_key
from services.domain.configuration import (
    Config,
    CredentialConfig,
    EndpointConfig,
    ExperimentConfig,
    InstallationConfig,
    LeaseConfig,
    RouteConfig,
    TestConfig,
    VariantConfig,
    config_key,
)
from services.domain.events import Feedback, Outcome
from services.gateway import app
from services.gateway.settings import GatewaySettings
from services.messaging.codec import decode_batch, decode_record, encode_event
from services.messaging.consumer import read_topic
from services.messaging.publisher import idempotent_producer
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames, create_topics

KEY = "hg-test-key-canary-string-1"
SECRET = "sk-provider-secret-canary-string-2"
SECRET_VARIABLE = "TEST_PROVIDER_SECRET"
PARTITIONS = 3

_versions = itertools.count(1)


def version() -> tuple[int, int]:
    """A version higher than any before."""
    return (1, next(_versions))


def endpoint(key: str, base_url: str, **changes: Any) -> EndpointConfig:
    """An OpenAI endpoint."""
    values: dict[str, Any] = {"endpoint_kind": "openai", "secret": f"env:{SECRET_VARIABLE}"} | changes
    return EndpointConfig(version=version(), key=key, base_url=base_url, **values)


def variant(key: str, *endpoint_keys: str, **changes: Any) -> VariantConfig:
    """A variant served by the endpoints."""
    return VariantConfig(key=key, endpoint_keys=endpoint_keys, **({"model": "sim"} | changes))


def route(key: str, *variants: VariantConfig, **changes: Any) -> RouteConfig:
    """A route whose stable variant is the first one."""
    values: dict[str, Any] = {"stable": variants[0].key, "allocation_version": 7} | changes
    return RouteConfig(version=version(), key=key, variants={one.key: one for one in variants}, **values)


def experiment(control: str, treatment: str, share_bp: int, **changes: Any) -> ExperimentConfig:
    """A running canary."""
    experiment_id = changes.pop("experiment_id", None) or uuid.uuid4()
    return ExperimentConfig(
        experiment_id=experiment_id,
        key="the-canary",
        phase=1,
        salt=str(experiment_id),
        control=control,
        treatment=treatment,
        treatment_share_bp=share_bp,
        **changes,
    )


def ab_test(*variants: str, **changes: Any) -> TestConfig:
    """A running A/B test of everybody, that needs nobody who measures it."""
    experiment_id = changes.pop("experiment_id", None) or uuid.uuid4()
    even = 10_000 // len(variants)
    values: dict[str, Any] = {
        "key": "the-test",
        "phase": 1,
        "salt": str(experiment_id),
        "traffic_bp": 10_000,
        "weights_bp": (10_000 - even * (len(variants) - 1), *[even] * (len(variants) - 1)),
        "lease_limit_seconds": 1e12,
    }
    return TestConfig(experiment_id=experiment_id, variants=variants, **(values | changes))


def lease(of: ExperimentConfig | TestConfig, measured_at: float) -> LeaseConfig:
    """The evidence lease of an experiment."""
    return LeaseConfig(
        version=(0, int(measured_at * 1000)), experiment_id=of.experiment_id, measured_at=measured_at
    )


def credential(key: str = KEY, **changes: Any) -> CredentialConfig:
    """A client's key."""
    return CredentialConfig(
        version=version(), key_hash=hash_key(key.encode()), key_id="key-1", label="test", **changes
    )


@dataclass
class Installation:
    """One set of topics, with its configuration and what arrives on them."""

    kafka: KafkaSettings
    installation_id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def topics(self) -> TopicNames:
        return TopicNames(self.kafka.topic_prefix)

    async def create(self) -> None:
        """Create the topics and publish the installation and a key."""
        await create_topics(self.kafka, PARTITIONS)
        await self.publish(
            InstallationConfig(
                version=version(), installation_id=self.installation_id, outcome_partitions=PARTITIONS
            ),
            credential(),
        )

    async def publish(self, *states: Config) -> None:
        """Write states to config.v1."""
        await self.publish_raw(*((config_key(state), encode_event(state)) for state in states))

    async def publish_raw(self, *records: tuple[str, bytes | None]) -> None:
        """Write records to config.v1."""
        producer = idempotent_producer(self.kafka, client_id="test-config")
        await producer.start()
        try:
            for key, value in records:
                await producer.send_and_wait(self.topics.config, value, key=key.encode())
        finally:
            await producer.stop()

    async def outcomes(self, *, gaps: bool = False) -> list[Outcome]:
        """Everything on outcomes.v1, without repeats; fails where a sequence has a gap."""
        if not gaps:
            assert (await self.missing())[0] == 0, "a gap in the sequence"
        return [one for numbered in (await self.sequences()).values() for one in numbered.values() if one]

    async def missing(self) -> tuple[int, int]:
        """How many numbers were given out and never arrived, and how many did."""
        slots = [slot for numbered in (await self.sequences()).values() for slot in numbered.values()]
        return slots.count(None), len(slots) - slots.count(None)

    async def sequences(self) -> dict[tuple[uuid.UUID, int], dict[int, Outcome | None]]:
        """Outcomes by number, for each gateway and partition; None where a later batch shows a gap."""
        found: dict[tuple[uuid.UUID, int], dict[int, Outcome | None]] = {}
        for record in await read_topic(self.kafka, self.topics.outcomes):
            if decode_record(record.value).feedback:
                continue
            batch = decode_batch(record.value)
            assert batch.gateway is not None
            assert not batch.unreadable
            numbered = found.setdefault((batch.gateway, record.partition), {})
            for lower in range(len(numbered), batch.first_sequence):
                numbered[lower] = None
            numbered.update((batch.first_sequence + index, outcome) for index, outcome in batch.outcomes)
        return found

    async def feedback(self) -> list[tuple[int, list[Feedback]]]:
        """Every record of feedback on outcomes.v1, with its partition."""
        records = await read_topic(self.kafka, self.topics.outcomes)
        read = [(record.partition, decode_record(record.value)) for record in records]
        assert not any(decoded.unreadable for _, decoded in read)
        return [
            (partition, [one for _, one in decoded.feedback])
            for partition, decoded in read
            if decoded.feedback
        ]

    async def outcome(self) -> Outcome:
        """The only outcome there is, waited for."""
        found = await self.expect_outcomes(1)
        return found[0]

    async def expect_outcomes(self, count: int) -> list[Outcome]:
        """Exactly that many outcomes, waited for."""
        async with asyncio.timeout(60):
            while len(found := await self.outcomes()) < count:
                await asyncio.sleep(0.05)
        assert len(found) == count
        return found


@dataclass
class RunningGateway:
    """A gateway's address, and clients for it."""

    url: str
    stop: asyncio.Event

    def client(self, api_key: str = KEY) -> openai.AsyncOpenAI:
        """The official client, without retries of its own."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0)

    async def readiness(self) -> dict[str, Any]:
        """What /readyz says."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until /readyz satisfies the condition."""
        async with asyncio.timeout(60):
            while not condition(state := await self.readiness()):
                await asyncio.sleep(0.02)
        return state

    async def until_up(self) -> None:
        """Wait until it answers at all, and is ready."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.until(lambda state: state["ready"])
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)
                else:
                    return

    async def knows_routes(self, count: int) -> None:
        """Wait until so many routes have arrived."""
        await self.until(lambda state: state["checks"]["config"]["routes"] == count)


def journals(state_dir: Path) -> list[str]:
    """The sequence journals in a gateway's state directory."""
    return sorted(path.name for path in state_dir.glob("*.sequences"))


@asynccontextmanager
async def running_gateway(
    kafka: KafkaSettings, state_dir: Path, **changes: Any
) -> AsyncIterator[RunningGateway]:
    """A gateway on a free port, stopped in order at the end."""
    settings = GatewaySettings(port=0, state_dir=state_dir, **changes)
    stop = asyncio.Event()
    async with _serving(
        lambda on_listening: app.serve(settings, kafka, stop, on_listening=on_listening), stop
    ) as url:
        yield RunningGateway(url, stop)


@asynccontextmanager
async def running_provider(settings: ProviderSettings | None = None) -> AsyncIterator[str]:
    """The simulated provider on a free port."""
    stop = asyncio.Event()
    chosen = settings or ProviderSettings(port=0)
    async with _serving(
        lambda on_listening: provider.serve(chosen, stop, on_listening=on_listening), stop
    ) as url:
        yield url


@asynccontextmanager
async def _serving(
    serve: Callable[[Callable[[str], None]], Awaitable[None]], stop: asyncio.Event
) -> AsyncIterator[str]:
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve(listening.set_result))
    await asyncio.wait([listening, task], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield listening.result() if listening.done() else task.result()  # type: ignore[misc]
    finally:
        stop.set()
        await task
