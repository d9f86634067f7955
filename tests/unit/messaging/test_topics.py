"""Topics: names, and settings that promises rest on."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.messaging.topics import ALL_TOPICS, CONFIG, OUTCOMES, TOUCHED, TopicNames, touched_partition


def test_every_topic_has_a_full_name() -> None:
    names = TopicNames("one-installation.")
    assert sorted(vars(names).values()) == sorted(f"one-installation.{topic.name}" for topic in ALL_TOPICS)


def test_no_gateway_clock_decides_a_tick() -> None:
    assert OUTCOMES.config["message.timestamp.type"] == "LogAppendTime"
    assert OUTCOMES.partitions is None


def test_the_configuration_is_one_log_that_keeps_the_newest() -> None:
    assert CONFIG.partitions == 1
    assert CONFIG.config["cleanup.policy"] == "compact"


@given(st.uuids())
def test_each_experiment_has_one_owner(experiment_id: UUID) -> None:
    assert TOUCHED.partitions is not None
    assert 0 <= touched_partition(experiment_id) < TOUCHED.partitions
