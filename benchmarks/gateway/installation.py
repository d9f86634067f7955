"""What a benchmarked gateway serves: routes with a running experiment each, and leases that are kept fresh.

Written to ``config.v1`` directly, as routing and the workers would, so that nothing but the gateway and Kafka
has to run.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256

from aiokafka import AIOKafkaProducer

from services.domain.configuration import (
    Config,
    CredentialConfig,
    EndpointConfig,
    ExperimentConfig,
    InstallationConfig,
    LeaseConfig,
    Prices,
    RouteConfig,
    TeamConfig,
    VariantConfig,
    config_key,
)
from services.domain.limits import Limits
from services.messaging.codec import encode_event
from services.messaging.publisher import idempotent_producer
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames, create_topics

KEY = "hg-bench-client-key"
SECRET_VARIABLE = "BENCH_PROVIDER_SECRET"  # noqa: S105 - the name of one
OUTCOME_PARTITIONS = 8
"""As `headgate migrate` creates them by default."""
SHARE_BP = 1_000
RENEW_SECONDS = 10.0
"""As the workers do: a sixth of the default limit."""
TURNS = 100
TEAM = "bench"
PLENTY = Limits(
    requests_per_minute=100_000_000,
    tokens_per_minute=1_000_000_000_000,
    concurrency=1_000_000,
    tokens_per_day=1_000_000_000_000_000,
    dollars_per_day=1_000_000_000.0,
)
"""Every limit and every budget is on, and none binds."""
NO_LIMITS = Limits()
PRICES = Prices(input_per_million=2.5, output_per_million=10.0, cached_input_per_million=1.25)
_VERSION = (1, 1)


def route_names(routes: int) -> tuple[str, ...]:
    """Return the names that clients put in ``model``; all equally long."""
    return tuple(f"bench-route-{number:04d}" for number in range(routes))


@asynccontextmanager
async def installed(
    kafka: KafkaSettings, base_url: str, routes: int, limits: Limits = PLENTY
) -> AsyncIterator[None]:
    """Publish an installation with so many routes, and renew every lease meanwhile.

    ``limits`` are those of the key, of its team, of each route, and of each unit on a route.
    """
    await create_topics(kafka, OUTCOME_PARTITIONS)
    producer = idempotent_producer(kafka, client_id="bench-config")
    await producer.start()
    try:
        topic = TopicNames(kafka.topic_prefix).config
        names = route_names(routes)
        experiments = [_experiment(name) for name in names]
        await _publish(producer, topic, _basics(base_url, limits))
        await _publish(producer, topic, _leases(experiments))
        served = [_route(one, limits, other) for one, other in zip(names, experiments, strict=True)]
        await _publish(producer, topic, served)
        renewing = asyncio.create_task(_renew(producer, topic, experiments))
        try:
            yield
        finally:
            renewing.cancel()
    finally:
        await producer.stop()


async def _renew(producer: AIOKafkaProducer, topic: str, experiments: list[ExperimentConfig]) -> None:
    # Each experiment has a time of its own, as it has when workers renew.
    for turn in itertools.cycle(range(TURNS)):
        await asyncio.sleep(RENEW_SECONDS / TURNS)
        await _publish(producer, topic, _leases(experiments[turn::TURNS]))


async def _publish(producer: AIOKafkaProducer, topic: str, states: Iterable[Config]) -> None:
    sent = [
        await producer.send(topic, encode_event(state), key=config_key(state).encode()) for state in states
    ]
    await asyncio.gather(*sent)


def _basics(base_url: str, limits: Limits) -> list[Config]:
    """Return the installation, a client's key, its team, and two endpoints: to ask, and to fail over to."""
    return [
        InstallationConfig(
            version=_VERSION, installation_id=uuid.uuid4(), outcome_partitions=OUTCOME_PARTITIONS
        ),
        CredentialConfig(
            version=_VERSION,
            key_hash=sha256(KEY.encode()).hexdigest(),
            key_id="bench",
            label="benchmark",
            team=TEAM,
            limits=limits,
        ),
        TeamConfig(version=_VERSION, key=TEAM, limits=limits),
        *(
            EndpointConfig(
                version=_VERSION,
                key=key,
                endpoint_kind="openai",
                base_url=base_url,
                secret=f"env:{SECRET_VARIABLE}",
                priority=priority,
                prices=PRICES,
            )
            for priority, key in enumerate(("first", "second"))
        ),
    ]


def _experiment(route: str) -> ExperimentConfig:
    experiment_id = uuid.uuid4()
    return ExperimentConfig(
        experiment_id=experiment_id,
        key=f"canary-of-{route}",
        phase=1,
        salt=str(experiment_id),
        control="control",
        treatment="treatment",
        treatment_share_bp=SHARE_BP,
    )


def _route(name: str, limits: Limits, experiment: ExperimentConfig) -> RouteConfig:
    variants = {
        key: VariantConfig(key=key, endpoint_keys=("first", "second"), model=f"static-{key}")
        for key in ("control", "treatment")
    }
    return RouteConfig(
        version=_VERSION,
        key=name,
        stable="control",
        variants=variants,
        allocation_version=1,
        experiment=experiment,
        limits=limits,
        unit_limits=limits,
    )


def _leases(experiments: list[ExperimentConfig]) -> list[Config]:
    now = time.time()
    return [
        LeaseConfig(version=(0, int(now * 1000)), experiment_id=one.experiment_id, measured_at=now)
        for one in experiments
    ]
