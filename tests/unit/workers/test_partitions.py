"""However a log is cut into flushes, and however often its owner changes, the counts are the same."""

from collections import defaultdict
from datetime import date, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import AssignedTo, Outcome, Role, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import encode_batch, encode_outcome
from services.workers.counts import Delta, Record
from services.workers.partitions import MissingRecords
from tests.unit.workers.picks import Picks, picks
from tests.unit.workers.tables import Tables

SPACE = UUID(int=0)
EXPERIMENTS = [uuid5(SPACE, "one"), uuid5(SPACE, "two")]
GATEWAYS = [uuid5(SPACE, "a"), uuid5(SPACE, "b")]


NUMBERS = (None, *range(10))


def outcome(pick: Picks) -> Outcome:
    role = pick.one(tuple(Role))
    return Outcome(
        request_id="r",
        route_key=pick.one(("chat", "summaries")),
        variant_key=role.label,
        unit_hash=pick.one(range(6)) + 2**63,
        unit_source=pick.one((UnitSource.USER, UnitSource.USER, UnitSource.REQUEST)),
        status=pick.one((OutcomeStatus.OK, OutcomeStatus.TIMEOUT, OutcomeStatus.CONTENT_FILTERED)),
        http_status=200,
        started_at_us=0,
        latency_us=pick.one(range(101)),
        prompt_tokens=pick.one(NUMBERS),
        completion_tokens=pick.one(NUMBERS),
        cost_nanos=pick.one(NUMBERS),
        key_id=pick.one(("", "key_1", "key_2")),
        team_key=pick.one(("", "search")),
        cached_tokens=pick.one(NUMBERS),
        assignments=tuple(
            AssignedTo(experiment_id, pick.one((1, 2)), role, 2_500)
            for experiment_id in pick.some(EXPERIMENTS)
        ),
    )


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[Record, UUID, int, list[Outcome]]]:
    """A log of batches with resends and gaps, as (record, gateway, first number, outcomes)."""
    log: list[tuple[Record, UUID, int, list[Outcome]]] = []
    numbers = dict.fromkeys(GATEWAYS, 0)
    for offset in range(draw(st.integers(0, 12))):
        timestamp_ms = draw(st.sampled_from([0, 1, 2, 3, 1_439, 1_440, 1_441])) * 60_000
        if log and draw(st.integers(0, 4)) == 0:
            _, gateway, first, batch = draw(st.sampled_from(log))
        else:
            gateway = draw(st.sampled_from(GATEWAYS))
            first = numbers[gateway] + draw(st.sampled_from([0, 0, 0, 2, -1]))
            first = max(first, 0)
            batch = draw(st.lists(picks.map(outcome), max_size=4))
            numbers[gateway] = max(numbers[gateway], first + len(batch))
        value = encode_batch(gateway, first, [encode_outcome(one) for one in batch])
        log.append((Record(0, offset, timestamp_ms, value), gateway, first, batch))
    return log


def expected(log: list[tuple[Record, UUID, int, list[Outcome]]]) -> Tables:
    """Count a whole log the slow way."""
    tables = Tables(next_offset=len(log))
    units: dict[tuple[object, ...], set[int]] = defaultdict(set)
    for record, gateway, first, batch in log:
        tables.tick = max(tables.tick, record.timestamp_ms // 60_000)
        tables.missing[gateway] += max(first - tables.sequences.get(gateway, 0), 0)
        for number, outcome in enumerate(batch, start=first):
            if number < tables.sequences.get(gateway, 0):
                tables.duplicates_dropped += 1
            else:
                tables.outcomes_counted += 1
                count_one(tables, units, outcome)
        tables.sequences[gateway] = max(tables.sequences.get(gateway, 0), first + len(batch))
    return tables


def count_one(tables: Tables, units: dict[tuple[object, ...], set[int]], outcome: Outcome) -> None:
    failed = outcome.status is OutcomeStatus.TIMEOUT
    filtered = outcome.status is OutcomeStatus.CONTENT_FILTERED
    route = tables.routes[outcome.route_key, outcome.variant_key, tables.tick]
    for index, number in enumerate(
        [1, failed, filtered, outcome.latency_us, outcome.prompt_tokens or 0, outcome.completion_tokens or 0]
    ):
        route[index] += number
    count_use(tables, outcome, failed=failed)
    for assigned in outcome.assignments:

        def is_first(event: str, assigned: AssignedTo = assigned) -> bool:
            if outcome.unit_source is UnitSource.REQUEST:
                return True
            seen = units[assigned.experiment_id, assigned.phase, event]
            new = outcome.unit_hash not in seen
            seen.add(outcome.unit_hash)
            return new

        first = is_first("request")
        share = 2_500 if assigned.role is Role.TREATMENT else 7_500
        key = (
            assigned.experiment_id,
            assigned.phase,
            tables.tick,
            share,
            assigned.role.label,
            int(assigned.role),
        )
        for index, number in enumerate(
            [
                1,
                failed,
                failed and is_first("error"),
                filtered,
                filtered and is_first("content_filter"),
                first,
                first and failed,
                outcome.latency_us,
            ]
        ):
            tables.experiments[key][index] += number
        if first and outcome.unit_source is not UnitSource.REQUEST:
            tables.exposed[assigned.experiment_id, assigned.phase, outcome.unit_hash] += 1


def count_use(tables: Tables, outcome: Outcome, *, failed: bool) -> None:
    day = date(1970, 1, 1) + timedelta(minutes=tables.tick)
    key = (day, outcome.route_key, outcome.variant_key, outcome.team_key, outcome.key_id, 0)
    prompt, completion = outcome.prompt_tokens or 0, outcome.completion_tokens or 0
    unpriced = outcome.cost_nanos is None and prompt + completion > 0
    for index, number in enumerate(
        [1, failed, prompt, outcome.cached_tokens or 0, completion, outcome.cost_nanos or 0, unpriced]
    ):
        tables.usage[key][index] += number
    tables.last_ticks[key] = tables.tick


STEPS = st.lists(st.sampled_from(["count", "count", "count", "flush", "crash", "repeat"]), max_size=40)


@given(logs(), STEPS)
def test_any_cutting_and_any_crashes_give_the_same_counts(
    log: list[tuple[Record, UUID, int, list[Outcome]]], steps: list[str]
) -> None:
    tables, delta = Tables(), Delta()
    owner = tables.claim()
    for step in [*steps, *["count"] * len(log), "flush"]:
        if step == "flush":
            tables.commit(delta)
            delta = Delta()
        elif step == "crash":
            delta, owner = Delta(), tables.claim()
        elif step == "repeat" and owner.next_offset > 0:
            assert not owner.count(log[owner.next_offset - 1][0], delta)
        elif owner.next_offset < len(log):
            assert owner.count(log[owner.next_offset][0], delta)
    slow = expected(log)
    assert tables.next_offset == slow.next_offset
    assert (tables.outcomes_counted, tables.duplicates_dropped) == (
        slow.outcomes_counted,
        slow.duplicates_dropped,
    )
    assert tables.sequences == slow.sequences
    assert +tables.missing == +slow.missing
    assert dict(tables.experiments) == dict(slow.experiments)
    assert dict(tables.routes) == dict(slow.routes)
    assert dict(tables.usage) == dict(slow.usage)
    assert tables.last_ticks == slow.last_ticks
    assert tables.exposed == slow.exposed


def test_a_gap_in_the_offsets_is_doubt() -> None:
    partition = Tables(next_offset=5).claim()
    with pytest.raises(MissingRecords, match="expected offset 5, got 7"):
        partition.count(Record(0, 7, 0, b""), Delta())


def test_a_closed_minute_stays_closed() -> None:
    """The broker's clock steps back; the counts go to the minute that is open."""
    partition, delta = Tables(tick=10).claim(), Delta()
    outcome = Outcome("r", "chat", "v", 1, UnitSource.USER, OutcomeStatus.OK, 200, 0, 1)
    value = encode_batch(GATEWAYS[0], 0, [encode_outcome(outcome)])
    partition.count(Record(0, 0, 9 * 60_000, value), delta)
    assert [row.tick for row in delta.route_rows()] == [10]
