"""A running canary in the database, as the control plane would have made it."""

from datetime import UTC, datetime
from uuid import UUID

from services.domain.canary import CanaryDefinition
from services.domain.configuration import LeaseConfig
from services.domain.experiment import Experiment
from services.messaging.codec import decode_config
from services.messaging.consumer import read_topic
from services.messaging.topics import TopicNames
from services.storage import experiments, routes
from services.storage.identifiers import new_id
from tests.integration.workers.gateway import SHARE_BP
from tests.integration.workers.world import World


async def start_canary(world: World, definition: CanaryDefinition | None = None) -> Experiment:
    """Start a canary on a route of its own."""
    key = f"canary-{new_id()}"
    experiment = Experiment(
        experiment_id=new_id(),
        key=key,
        route_key=key,
        kind="canary",
        status="draft",
        conclusion=None,
        definition=definition or CanaryDefinition(treatment="treatment"),
        control="control",
        phase=1,
        created_at=datetime.now(UTC),
    )
    async with world.engine.begin() as connection:
        route = await routes.create(connection, key, stable="control", unit_fallback="request", actor="test")
        await experiments.create(connection, experiment)
        await experiments.start(connection, experiment.experiment_id, control="control")
        allocation = route.allocation.with_experiment(experiment.experiment_id, "treatment", SHARE_BP)
        await routes.reallocate(connection, allocation, actor="test", reason="the canary started")
    return experiment


async def leases(world: World, experiment_id: UUID) -> list[LeaseConfig]:
    """Return every lease of the experiment that is on config.v1."""
    topic = TopicNames(world.kafka.topic_prefix).config
    states = [decode_config(record.value) for record in await read_topic(world.kafka, topic) if record.value]
    return [
        state for state in states if isinstance(state, LeaseConfig) and state.experiment_id == experiment_id
    ]
