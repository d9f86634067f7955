"""Who used how much, of many keys at once, and when keys were used last."""

import random
from datetime import date
from uuid import uuid4

import pytest

from services.domain.events import Outcome, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import encode_batch, encode_outcome
from services.storage.counting import Advance, Flush
from services.storage.usage import KeyUse, UsageCount
from services.workers.counts import Delta, Record
from services.workers.partitions import Partition
from services.workers.usage import KeysInUse

GATEWAY = uuid4()
DAY_MS = 86_400_000


def outcome(key: str, number: int) -> Outcome:
    return Outcome(
        request_id="r",
        route_key=f"route-{number}",
        variant_key="v",
        unit_hash=number,
        unit_source=UnitSource.REQUEST,
        status=OutcomeStatus.OK,
        http_status=200,
        started_at_us=0,
        latency_us=1,
        prompt_tokens=number,
        cost_nanos=2**48 - number,
        key_id=key,
        team_key="team",
    )


@pytest.mark.parametrize("keys", [3, 5_000])
def test_of_few_and_of_many_keys(keys: int) -> None:
    """Sums are exact, however large; rows are added up by another way where there are very many."""
    source = random.Random(1)
    expected: dict[tuple[object, ...], list[int]] = {}
    delta = Delta()
    partitions = [Partition("outcomes.v1", number, 1, 0) for number in range(2)]
    for offset in range(40):
        for partition in partitions:
            batch = [outcome(f"key_{source.randrange(keys)}", number) for number in range(100)]
            day = 20_000 + offset // 20
            for one in batch:
                where = (date.fromordinal(719_163 + day), one.route_key, one.key_id, partition.partition)
                sums = expected.setdefault(where, [0, 0, 0])
                for index, number in enumerate((1, one.prompt_tokens or 0, one.cost_nanos or 0)):
                    sums[index] += number
            value = encode_batch(GATEWAY, offset * 100, [encode_outcome(one) for one in batch])
            partition.count(Record(partition.partition, offset, day * DAY_MS, value), delta)
    found = {
        (row.day, row.route_key, row.key_id, row.partition): [row.requests, row.prompt_tokens, row.cost_nanos]
        for row in delta.usage_rows()
    }
    assert found == expected


def test_nothing_counted_is_nothing_used() -> None:
    assert Delta().usage_rows() == []


def a_flush(*keys: str, used_ms: int = 90_000) -> Flush:
    """A flush up to a record of that time, in which these keys were used."""
    advance = Advance(3, 1, 0, 1, used_ms // 60_000, used_ms, 0, 1, 0, 0, None)
    rows = [
        UsageCount(date(1970, 1, 1), "r", "v", "", key, 3, 1, 0, 0, 0, 0, 0, 0, used_ms // 60_000)
        for key in keys
    ]
    return Flush("outcomes.v1", advances=[advance], usage=rows)


def test_a_key_is_written_down_at_once_and_then_now_and_then() -> None:
    keys = KeysInUse(every_seconds=5.0)
    keys.note(a_flush("b", "a"))
    assert keys.due(100.0) == [KeyUse("a", 90_000), KeyUse("b", 90_000)]
    keys.note(a_flush("a", used_ms=91_000))
    assert keys.due(104.0) == []
    keys.note(a_flush("a", used_ms=92_000))
    assert keys.due(105.0) == [KeyUse("a", 92_000)]
    assert keys.due(200.0) == []


def test_a_key_is_not_used_later_than_its_last_minute() -> None:
    """The newest record of a flush may be of a later minute than the last one with that key."""
    keys = KeysInUse()
    flush = a_flush("a", used_ms=60_500)
    flush.advances[0] = flush.advances[0]._replace(last_timestamp_ms=600_000)
    keys.note(flush)
    assert keys.due(0.0) == [KeyUse("a", 120_000)]
