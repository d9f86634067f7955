"""A log that is not what it was: recreated, cut, or with offsets that somebody committed."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from services.messaging.topics import TopicNames, create_topics
from services.workers.agents import GROUP
from tests.integration.workers.gateway import an_outcome
from tests.integration.workers.world import World, until


async def recreate_topics(world: World, admin: AIOKafkaAdminClient) -> None:
    """Delete the outcomes topic and create it anew, empty."""
    topic = TopicNames(world.kafka.topic_prefix).outcomes
    await admin.delete_topics([topic])

    async def gone() -> bool:
        return topic not in await admin.list_topics()

    await until(gone, bool, "the topic to be gone")
    await create_topics(world.kafka, world.partitions)


async def test_a_recreated_topic_is_counted_from_its_start(
    world: World, kafka_admin: AIOKafkaAdminClient
) -> None:
    """The new log is longer than the old one was: only the last counted record shows that it is another.

    The naive way that fails: going on at the next offset skips the new log's first records in silence.
    """
    worker = world.start_worker()
    async with world.gateway() as before:
        for number in range(3):
            await before.send_batch(0, [an_outcome(f"old-{number}")])
        await world.counted(3)
    worker.stop()
    await recreate_topics(world, kafka_admin)
    async with world.gateway() as after:
        for number in range(5):
            await after.send_batch(0, [an_outcome(f"new-{number}")])
        worker = world.start_worker()
        assert (await world.counted(8)).outcomes_counted == 8
    assert "was recreated or cut" in worker.log_of_this_run()
    rows = await world.rows("SELECT incarnation, next_offset FROM partition_progress WHERE partition = 0")
    assert rows == [(2, 5)]


async def test_a_recreated_topic_that_is_shorter(world: World, kafka_admin: AIOKafkaAdminClient) -> None:
    """The next offset lies beyond the new log's end.

    The naive way that fails: `auto_offset_reset` moves to an end of the log and says nothing.
    """
    worker = world.start_worker()
    async with world.gateway() as before:
        for number in range(3):
            await before.send_batch(0, [an_outcome(f"old-{number}")])
        await world.counted(3)
    worker.stop()
    await recreate_topics(world, kafka_admin)
    async with world.gateway() as after:
        await after.send_batch(0, [an_outcome("new")])
        world.start_worker()
        assert (await world.counted(4)).outcomes_counted == 4
    assert (await world.rows("SELECT max(incarnation) FROM partition_progress")) == [(2,)]


async def test_records_that_were_removed_uncounted_are_booked_as_lost(
    world: World, kafka_admin: AIOKafkaAdminClient
) -> None:
    """Retention was faster than the workers.

    The naive way that fails: resetting to the earliest record loses the others without a trace.
    """
    topic = TopicNames(world.kafka.topic_prefix).outcomes
    worker = world.start_worker()
    async with world.gateway() as gateway:
        await gateway.send_batch(0, [an_outcome("counted")])
        await world.counted(1)
        worker.stop()
        for number in range(5):
            await gateway.send_batch(0, [an_outcome(f"unit-{number}")])
        await kafka_admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=4)})
        worker = world.start_worker()
        totals = await world.counted(3)
    # Offsets 1 to 3 are gone: three records, and three numbers of the gateway's that never came.
    assert (totals.outcomes_counted, totals.records_lost, totals.missing) == (3, 3, 3)
    assert "3 records before offset 4 were removed" in worker.log_of_this_run()


async def test_committed_offsets_are_of_no_consequence(world: World) -> None:
    """Somebody committed an offset for the group; the claim's position holds all the same.

    The naive way that fails: seeks from `on_partitions_assigned` pass while no offset was ever committed, and
    are overwritten by Faust as soon as one is.
    """
    topic = TopicNames(world.kafka.topic_prefix).outcomes
    async with world.gateway() as gateway:
        await gateway.send(200)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=world.kafka.kafka,
            group_id=world.kafka.topic_prefix + GROUP,
            enable_auto_commit=False,
        )
        await consumer.start()
        partitions = [TopicPartition(topic, partition) for partition in range(world.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.commit({partition: max(end - 2, 0) for partition, end in ends.items()})
        await consumer.stop()
        world.start_worker()
        await world.assert_exact(gateway)


async def test_other_partitions_than_recorded_refuse_to_start(
    world: World, kafka_admin: AIOKafkaAdminClient
) -> None:
    """The naive way that fails: counting on, with units in partitions whose owners do not know them."""
    topic = TopicNames(world.kafka.topic_prefix).outcomes
    await kafka_admin.create_partitions({topic: NewPartitions(total_count=world.partitions + 1)})
    worker = world.start_worker()
    assert worker.wait(20.0) != 0
    assert "but this installation was created with 4" in worker.log_of_this_run()
