"""An installation of the test's own on the session's Kafka and Postgres, with a canary that runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.domain.ab_test import ABTestDefinition, WeightedVariant
from services.domain.allocation import TestSplit
from services.domain.canary import CanaryDefinition, CanaryPlan
from services.domain.configuration import VariantConfig
from services.domain.experiment import Experiment
from services.domain.metric import BUILT_IN
from services.messaging.settings import KafkaSettings
from services.messaging.topics import create_topics
from services.storage import experiments, routes, variants
from services.storage.identifiers import new_id
from services.storage.installation import ensure_installation
from services.storage.session import create_engine
from services.storage.settings import DatabaseSettings

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    """Return what ``look`` finds once it finds something; the test's own time limit ends the wait."""
    while not (found := await look()):
        await asyncio.sleep(0.02)
    return found


@pytest.fixture
def database(database_url: str) -> DatabaseSettings:
    return DatabaseSettings(database_url=database_url)


@pytest.fixture
async def engine(database: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database, application_name="headgate-tests")
    yield engine
    await engine.dispose()


@pytest.fixture
async def settings(engine: AsyncEngine, kafka: str, topic_prefix: str) -> KafkaSettings:
    """Kafka with the installation's topics."""
    settings = KafkaSettings(kafka=kafka, topic_prefix=topic_prefix)
    async with engine.begin() as connection:
        await ensure_installation(connection, 2)
    await create_topics(settings, 2)
    return settings


@pytest.fixture
async def canary(engine: AsyncEngine) -> Experiment:
    """A canary at its first step, 5 %, on the route ``chat``."""
    return await start_canary(engine)


@pytest.fixture
async def ab_test(engine: AsyncEngine, canary: Experiment) -> Experiment:
    """An A/B test of half the units beside the canary: what is stable against ``short`` and ``long``."""
    variants_ = (
        WeightedVariant(canary.control, 0.5),
        WeightedVariant("short", 0.3),
        WeightedVariant("long", 0.2),
    )
    definition = ABTestDefinition(
        variants=variants_, goals=("cost",), metrics=(BUILT_IN["cost"],), guardrails=(), traffic_share=0.5
    )
    experiment = Experiment(
        experiment_id=new_id(),
        key="test",
        route_key=canary.route_key,
        kind="ab_test",
        status="draft",
        conclusion=None,
        definition=definition,
        control=canary.control,
        phase=1,
        created_at=datetime.now(UTC),
    )
    split = TestSplit.of(experiment.experiment_id, definition)
    async with engine.begin() as connection:
        for key in ("short", "long"):
            await variants.create(connection, VariantConfig(key=key, endpoint_keys=("openai",)))
        await experiments.create(connection, experiment)
        await experiments.start(connection, experiment.experiment_id, control=experiment.control, split=split)
        route = await routes.get(connection, canary.route_key)
        allocation = route.allocation.with_test(split)
        await routes.reallocate(connection, allocation, actor="test", reason="started")
        return await experiments.get(connection, experiment.key)


async def start_canary(
    engine: AsyncEngine, key: str = "canary", route_key: str = "chat", plan: CanaryPlan | None = None
) -> Experiment:
    """Define a route of two variants and start a canary on it, without publishing anything."""
    experiment = Experiment(
        experiment_id=new_id(),
        key=key,
        route_key=route_key,
        kind="canary",
        status="draft",
        conclusion=None,
        definition=CanaryDefinition(treatment=f"{key}-new", plan=plan or CanaryPlan()),
        control=f"{key}-old",
        phase=1,
        created_at=datetime.now(UTC),
    )
    async with engine.begin() as connection:
        for variant in (experiment.control, experiment.canary.treatment):
            await variants.create(connection, VariantConfig(key=variant, endpoint_keys=("openai",)))
        route = await routes.create(
            connection, route_key, stable=experiment.control, unit_fallback="request", actor="test"
        )
        await experiments.create(connection, experiment)
        await experiments.start(connection, experiment.experiment_id, control=experiment.control)
        allocation = route.allocation.with_experiment(
            experiment.experiment_id, experiment.canary.treatment, 500
        )
        await routes.reallocate(connection, allocation, actor="test", reason="started")
        return await experiments.get(connection, key)
