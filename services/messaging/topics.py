"""Every topic's name, partitions, retention and key, in one place."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from services.domain.assignment import experiment_partition
from services.domain.errors import InstallationMismatch
from services.messaging.settings import KafkaSettings

DAY_MS = 24 * 3600 * 1000
VISIBLE_WITHIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created. ``partitions`` None: as the installation fixed it."""

    name: str
    partitions: int | None
    config: dict[str, str] = field(default_factory=dict)


OUTCOMES = Topic(
    "outcomes.v1", None, {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * DAY_MS)}
)
TOUCHED = Topic("touched.v1", 8, {"retention.ms": str(DAY_MS)})
DECISIONS = Topic("decisions.v1", 8, {"retention.ms": str(30 * DAY_MS)})
CONFIG = Topic(
    "config.v1",
    1,
    {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": str(DAY_MS // 24)},
)
COMPARISONS = Topic("comparisons.v1", 8, {"retention.ms": str(DAY_MS)})
"""Texts of answers may be in here, so it keeps them no longer than any experiment does."""
CONSUMPTION = Topic(
    "consumption.v1",
    2,
    {
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": "compact,delete",
        "retention.ms": str(2 * DAY_MS),
        # The last minute must be there whole; of what is older, only the newest of each key.
        "min.compaction.lag.ms": str(3 * 60 * 1000),
        "min.cleanable.dirty.ratio": "0.1",
        "segment.ms": str(DAY_MS // 144),
    },
)
"""Partition 0: beats. Partition 1: totals of days. Slots are placed by the time of the broker's log."""
DEAD_LETTERS = Topic("outcomes.v1.dead", 1, {"retention.ms": str(30 * DAY_MS)})

ALL_TOPICS = (OUTCOMES, TOUCHED, DECISIONS, CONFIG, COMPARISONS, CONSUMPTION, DEAD_LETTERS)


def touched_partition(experiment_id: UUID) -> int:
    """Return the partition of ``touched.v1`` whose owner evaluates the experiment."""
    return experiment_partition(experiment_id.int, TOUCHED.partitions or 1)


def comparisons_partition(experiment_id: UUID) -> int:
    """Return the partition of ``comparisons.v1`` that the experiment's comparisons go to."""
    return experiment_partition(experiment_id.int, COMPARISONS.partitions or 1)


class TopicNames:
    """The topics' full names in one installation."""

    def __init__(self, prefix: str = "") -> None:
        self.outcomes = prefix + OUTCOMES.name
        self.touched = prefix + TOUCHED.name
        self.decisions = prefix + DECISIONS.name
        self.config = prefix + CONFIG.name
        self.comparisons = prefix + COMPARISONS.name
        self.consumption = prefix + CONSUMPTION.name
        self.dead_letters = prefix + DEAD_LETTERS.name


async def create_topics(settings: KafkaSettings, outcome_partitions: int) -> None:
    """Create the topics that are missing. Raises InstallationMismatch where one has other partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [
            NewTopic(
                name=settings.topic_prefix + topic.name,
                num_partitions=topic.partitions or outcome_partitions,
                replication_factor=settings.replication_factor,
                topic_configs=topic.config,
            )
            for topic in ALL_TOPICS
            if settings.topic_prefix + topic.name not in existing
        ]
        if missing:
            # Another service may create one between our look and our call.
            with contextlib.suppress(TopicAlreadyExistsError):
                await admin.create_topics(missing)
            await _until_visible(admin, [topic.name for topic in missing])
        await _check_partitions(admin, settings, outcome_partitions)
    finally:
        await admin.close()


async def _until_visible(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until the broker shows topics that were just created, which takes it a moment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(VISIBLE_WITHIN_SECONDS):
            while not all(topic["partitions"] for topic in await admin.describe_topics(names)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def check_topics(settings: KafkaSettings, outcome_partitions: int) -> None:
    """Raise InstallationMismatch unless the topics are as the installation recorded them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await _check_partitions(admin, settings, outcome_partitions)
    finally:
        await admin.close()


async def _check_partitions(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, outcome_partitions: int
) -> None:
    names = {
        settings.topic_prefix + topic.name: topic.partitions or outcome_partitions for topic in ALL_TOPICS
    }
    for described in await admin.describe_topics(list(names)):
        name, partitions = described["topic"], len(described["partitions"])
        if not partitions:
            raise InstallationMismatch(f"topic {name} does not exist; run `headgate migrate` to create it")
        if partitions != names[name]:
            raise InstallationMismatch(
                f"topic {name} has {partitions} partitions, but this installation was created with "
                f"{names[name]}: units would land with the wrong owner. Restore the topic, or start a new "
                "installation with another HEADGATE_TOPIC_PREFIX and database"
            )
