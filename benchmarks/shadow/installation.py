"""What the measured gateway serves: a route for each kind of shadow, and one without."""

from __future__ import annotations

import uuid
from hashlib import sha256

from benchmarks.shadow.upstream import MODES
from services.domain.assignment import BASIS_POINTS
from services.domain.configuration import (
    Config,
    CredentialConfig,
    EndpointConfig,
    InstallationConfig,
    RouteConfig,
    ShadowConfig,
    VariantConfig,
    config_key,
)
from services.messaging.codec import encode_event
from services.messaging.publisher import idempotent_producer
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames, create_topics

KEY = "hg-bench-client-key"
SECRET_VARIABLE = "BENCH_PROVIDER_SECRET"  # noqa: S105 - the name of one
PARTITIONS = 8
_VERSION = (1, 1)


def route_of(mode: str) -> str:
    """Return the route whose shadow behaves like that."""
    return f"bench-{mode}"


async def installed(kafka: KafkaSettings, production: int, shadows: int, share: float) -> None:
    """Create the topics and publish everything."""
    await create_topics(kafka, PARTITIONS)
    producer = idempotent_producer(kafka, client_id="bench-config")
    await producer.start()
    try:
        for state in _states(production, shadows, round(share * BASIS_POINTS)):
            topic = TopicNames(kafka.topic_prefix).config
            await producer.send_and_wait(topic, encode_event(state), key=config_key(state).encode())
    finally:
        await producer.stop()


def _states(production: int, shadows: int, sample_bp: int) -> list[Config]:
    return [
        InstallationConfig(version=_VERSION, installation_id=uuid.uuid4(), outcome_partitions=PARTITIONS),
        CredentialConfig(
            version=_VERSION, key_hash=sha256(KEY.encode()).hexdigest(), key_id="bench", label="benchmark"
        ),
        _endpoint("production", f"http://127.0.0.1:{production}/answers/v1"),
        *[_endpoint(mode, f"http://127.0.0.1:{shadows}/{mode}/v1") for mode in MODES],
        _route("none", None),
        *[_route(mode, _shadow(mode, sample_bp)) for mode in MODES],
    ]


def _endpoint(key: str, base_url: str) -> EndpointConfig:
    secret = f"env:{SECRET_VARIABLE}"
    return EndpointConfig(version=_VERSION, key=key, endpoint_kind="openai", base_url=base_url, secret=secret)


def _route(mode: str, shadow: ShadowConfig | None) -> RouteConfig:
    variants = [VariantConfig(key="stable", endpoint_keys=("production",), model="static-one")]
    if shadow is not None:
        variants.append(VariantConfig(key="copy", endpoint_keys=(mode,), model=f"static-{mode}"))
    return RouteConfig(
        version=_VERSION,
        key=route_of(mode),
        stable="stable",
        variants={one.key: one for one in variants},
        allocation_version=1,
        shadow=shadow,
    )


def _shadow(mode: str, sample_bp: int) -> ShadowConfig:
    experiment_id = uuid.uuid4()
    return ShadowConfig(
        experiment_id=experiment_id,
        key=f"shadow-that-{mode}",
        phase=1,
        salt=str(experiment_id),
        variant="copy",
        sample_bp=sample_bp,
        max_concurrency=32,
        queue_limit=1_000,
        timeout_seconds=0.5,
        ends_at=1e12,
    )
