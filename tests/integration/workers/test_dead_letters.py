"""What cannot be read or stored goes aside with its reason, and nothing stops."""

import msgspec

from services.domain.events import DeadLetter, Feedback, UnitSource
from services.messaging.codec import (
    decode_dead_letter,
    encode_batch,
    encode_feedback,
    encode_feedback_batch,
    encode_outcome,
)
from services.messaging.consumer import read_topic
from services.messaging.topics import TopicNames
from tests.integration.workers.gateway import an_outcome
from tests.integration.workers.world import World, until


async def dead_letters(world: World, count: int) -> list[DeadLetter]:
    """Return once the progress has passed so many dead letters."""
    await until(world.totals, lambda totals: totals.dead_lettered == count, f"{count} dead letters")
    records = await read_topic(world.kafka, TopicNames(world.kafka.topic_prefix).dead_letters)
    return [decode_dead_letter(record.value) for record in records]


async def test_unreadable_records_and_outcomes(world: World) -> None:
    """The naive way that fails: Faust's own decoding, which drops the record and logs."""
    worker = world.start_worker()
    async with world.gateway() as gateway:
        good = encode_outcome(an_outcome("good"))
        await gateway.send_record(0, b"not msgpack at all \xc1")
        await gateway.send_record(0, None)
        await gateway.send_record(0, msgspec.msgpack.encode([99, gateway.incarnation.bytes, 0, []]))
        await gateway.send_record(0, encode_batch(gateway.incarnation, 0, [good, b"\xa3bad", good]))
        letters = await dead_letters(world, 4)
        totals = await world.counted(2)
    assert [(letter.offset, letter.index) for letter in letters] == [(0, None), (1, None), (2, None), (3, 1)]
    assert "not an outcome batch" in letters[0].reason
    assert "schema 99" in letters[2].reason
    assert letters[3].payload == b"\xa3bad"
    assert (totals.outcomes_counted, totals.missing) == (2, 0)
    worker.raise_if_dead()


async def test_what_postgres_refuses_is_found_and_put_aside(world: World) -> None:
    """A NUL byte, a number too large, a key too long for an index: each alone, all in good company.

    The naive way that fails: trying the refused flush again for ever, or dropping all of it.
    """
    worker = world.start_worker()
    async with world.gateway() as gateway:
        bad = [
            an_outcome("nul", experiment_id=gateway.experiment_id, variant_key="a\x00b"),
            an_outcome("long", route_key="".join(chr(33 + i * i % 997) for i in range(30_000))),
            an_outcome("nobody", key_id="key\x00", team_key="t"),
        ]
        await gateway.send(50)
        await gateway.send_batch(1, [an_outcome("before"), bad[0], an_outcome("between"), *bad[1:]])
        await gateway.send(50)
        letters = await dead_letters(world, 3)
        totals = await world.counted(102)
    assert [letter.index for letter in letters] == [1, 3, 4]
    assert all("Postgres refused it" in letter.reason for letter in letters)
    assert letters[0].payload == encode_outcome(bad[0])
    assert (totals.outcomes_counted, totals.missing) == (102, 0)
    assert await world.counts(gateway.experiment_id) == +gateway.expected
    worker.raise_if_dead()


async def test_an_impossible_propensity_is_not_evidence(world: World) -> None:
    """The naive way that fails: an outcome that no randomisation produced is tested like the others."""
    world.start_worker()
    async with world.gateway() as gateway:
        outcome = an_outcome("unit", experiment_id=gateway.experiment_id)
        certain = msgspec.structs.replace(outcome.assignments[0], propensity_bp=10_000)
        await gateway.send_batch(0, [msgspec.structs.replace(outcome, assignments=(certain,))])
        (letter,) = await dead_letters(world, 1)
    assert "must carry no assignment" in letter.reason
    assert await world.counts(gateway.experiment_id) == {}


async def test_a_score_that_could_overflow_a_sum_is_put_aside(world: World) -> None:
    """Older gateways took up to 1e9. The naive way that fails: the sum wraps around and says nothing."""
    world.start_worker()
    async with world.gateway() as gateway:
        assignments = an_outcome("unit", experiment_id=gateway.experiment_id).assignments
        reports = [
            encode_feedback(
                Feedback(
                    f"{value}", "revenue", value, False, 7, UnitSource.USER, "request", "chat", 0, assignments
                )
            )
            for value in (1e6, 1e6 + 1, -1e9)
        ]
        await gateway.send_record(0, encode_feedback_batch(reports))
        letters = await dead_letters(world, 2)
    assert [letter.index for letter in letters] == [1, 2]
    assert all("must lie within ±1,000,000" in letter.reason for letter in letters)
