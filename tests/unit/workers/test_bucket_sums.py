"""However a log is cut into flushes of counts and of sums, the bucket sums are the same."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID, uuid5

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.sketch import cells_of
from services.domain.assignment import analysis_bucket
from services.domain.events import AssignedTo, Feedback, Outcome, Role, UnitSource
from services.domain.metric import BUILT_IN, Column, Metric, columns_for
from services.domain.status import OutcomeStatus
from services.messaging.codec import encode_batch, encode_feedback, encode_feedback_batch, encode_outcome
from services.storage.bucket_writing import SumsToWrite
from services.storage.buckets import BucketRow, SumsKey, assemble, merge_sketches, unpack_sketches
from services.storage.claims import UnitChunk
from services.workers.bucket_sums import BucketSums
from services.workers.counts import Delta, Observed, Record
from services.workers.endings import Endings
from services.workers.ledgers import Ledgers
from services.workers.memory import Memory
from services.workers.plans import Plan, Plans
from services.workers.unit_ledgers import newest
from tests.unit.workers.picks import Picks, picks
from tests.unit.workers.tables import Tables

SPACE = UUID(int=0)
CANARY, TEST = uuid5(SPACE, "canary"), uuid5(SPACE, "test")
GATEWAY = uuid5(SPACE, "gateway")
PARTITIONS = 4
METRICS = (
    BUILT_IN["satisfaction_rate"],
    Metric(key="capped", source="latency", cap=0.00005),
    Metric(key="failing", source="error", kind="proportion", per="unit"),
    Metric(key="happy", source="feedback:satisfaction", kind="proportion", per="unit"),
    Metric(key="stars", source="feedback:stars"),
    Metric(key="five_stars", source="feedback:stars", kind="proportion"),
)
COLUMNS = {CANARY: columns_for(()), TEST: columns_for(METRICS)}
UNITS = [unit << 56 for unit in range(6)]
Event = Outcome | Feedback
Sums = dict[tuple[object, ...], Counter[tuple[str, int, int]]]
"""(experiment, phase, variant, segment) → (column, plane, bucket) → number."""


def outcome(pick: Picks) -> Outcome:
    variant = pick.one((0, 1, 2))
    role = Role.TREATMENT if variant else Role.CONTROL
    return Outcome(
        request_id="r",
        route_key="chat",
        variant_key=f"variant-{variant}",
        unit_hash=pick.one(UNITS),
        unit_source=pick.one((UnitSource.USER, UnitSource.USER, UnitSource.REQUEST)),
        status=pick.one((OutcomeStatus.OK, OutcomeStatus.TIMEOUT, OutcomeStatus.CONTENT_FILTERED)),
        http_status=200,
        started_at_us=0,
        latency_us=pick.one(range(101)),
        first_token_us=pick.one((None, *range(51))),
        prompt_tokens=pick.one((None, *range(10))),
        cost_nanos=pick.one((None, 0, 1, 7, 999, 2**31, 2**32 + 1, 2**48)),
        attributes=pick.one(({}, {"region": "eu"}, {"region": "us"}, {"region": "mars"})),
        covariate=pick.one((None, 1.25, -3.0, math.nan, 1e6, -1e9)),
        assignments=tuple(
            AssignedTo(one, pick.one((1, 2)), role, 3_000, -1 if one == CANARY else variant)
            for one in pick.some((CANARY, TEST))
            if one == TEST or variant < 2
        ),
    )


def report(pick: Picks) -> Feedback:
    variant = pick.one((0, 1, 2))
    role = Role.TREATMENT if variant else Role.CONTROL
    is_boolean = pick.one((False, True))
    return Feedback(
        event_id=pick.one("abcd"),
        name=pick.one(("satisfaction", "stars", "other")),
        value=pick.one((0.0, 1.0))
        if is_boolean
        else pick.one((1.0, 0.0, -2.0, 2.0, 1 / 3, 1e-6, -4e-7, 0.9999997)),
        is_boolean=is_boolean,
        unit_hash=pick.one(UNITS),
        unit_source=UnitSource.USER,
        request_id="r",
        route_key="chat",
        received_at_us=1,
        assignments=(AssignedTo(TEST, 1, role, 3_000, variant),),
        attributes=pick.one(({}, {"region": "eu"}, {"region": "mars"}, {"region": "other"})),
    )


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[Record, list[Event]]]:
    """A log, and of each record what of it is new: batches are sent twice, and reports too."""
    log: list[tuple[Record, list[Event]]] = []
    sent: list[tuple[bytes, list[Event]]] = []
    number = 0
    for offset in range(draw(st.integers(0, 10))):
        choice = draw(st.integers(0, 4))
        if sent and choice == 0:
            value, events = draw(st.sampled_from(sent))
            new: list[Event] = [event for event in events if isinstance(event, Feedback)]
        elif choice == 1:
            new = list(draw(st.lists(picks.map(report), max_size=3)))
            value = encode_feedback_batch([encode_feedback(one) for one in new if isinstance(one, Feedback)])
            sent.append((value, new))
        else:
            batch = draw(st.lists(picks.map(outcome), max_size=4))
            new = list(batch)
            value = encode_batch(GATEWAY, number, [encode_outcome(one) for one in batch])
            sent.append((value, new))
            number += len(batch)
        log.append((Record(0, offset, 60_000, value), new))
    return log


@dataclass
class Recount:
    """The slow way."""

    sums: Sums = field(default_factory=lambda: defaultdict(Counter))
    cells: dict[tuple[object, ...], Counter[tuple[str, int, int]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    seen: set[tuple[object, ...]] = field(default_factory=set)
    not_summed: Counter[tuple[UUID, int, str]] = field(default_factory=Counter)

    def is_new(self, *what: object) -> bool:
        new = what not in self.seen
        self.seen.add(what)
        return new

    def count(self, event: Event) -> None:
        for assigned in event.assignments:
            if isinstance(event, Outcome):
                self.count_outcome(event, assigned)
            else:
                self.count_report(event, assigned)

    def count_outcome(self, one: Outcome, assigned: AssignedTo) -> None:
        phase = (assigned.experiment_id, assigned.phase)
        keeps = one.unit_source is not UnitSource.REQUEST
        own = not keeps or self.is_new(*phase, "request", assigned.variant_number, one.unit_hash)
        others = any(
            (*phase, "request", other, one.unit_hash) in self.seen
            for other in {0, 1, 2} - {assigned.variant_number}
        )
        failed, filtered = one.status is OutcomeStatus.TIMEOUT, one.status is OutcomeStatus.CONTENT_FILTERED
        first_error = failed and (not keeps or self.is_new(*phase, "error", one.unit_hash))
        values: dict[str, int | None] = {
            "error": failed,
            "content_filter": filtered,
            "units_with:error": first_error,
            "first_token": one.first_token_us,
            "prompt_tokens": one.prompt_tokens,
            "total_tokens": one.prompt_tokens,
            "cost": one.cost_nanos,
        }
        if own and not (keeps and others):
            known = one.covariate is not None and abs(one.covariate) <= 1e6
            values["units"] = round((one.covariate or 0.0) * 1e6) if known else 0
        if one.status is OutcomeStatus.OK and one.latency_us:
            values["latency"] = one.latency_us
            values["latency<=50"] = min(one.latency_us, 50)
            values["log_latency"] = round(math.log(one.latency_us / 1e6) * 1e6)
        self.add(assigned, one.attributes, one.unit_hash, values)
        for source in ("latency", "first_token"):
            if (value := values.get(source)) is not None:
                bucket = analysis_bucket(one.unit_hash)
                (cell,) = cells_of([value / 1e6]).tolist()
                for segment in segments(assigned, one.attributes):
                    key = (*phase, assigned.variant_number, segment)
                    self.cells[key][source, bucket % 32, cell] += 1

    def count_report(self, one: Feedback, assigned: AssignedTo) -> None:
        phase = (assigned.experiment_id, assigned.phase)
        if not self.is_new(*phase, "feedback", one.name, one.event_id):
            return
        first = one.value == 1 and self.is_new(*phase, "true", one.name, one.unit_hash)
        micros = round(one.value * 1e6)
        values: dict[str, int | None] = {f"feedback:{one.name}": micros}
        if micros in (0, 1_000_000):
            values |= {f"yes:feedback:{one.name}": micros, f"units_with:feedback:{one.name}": int(first)}
        if one.name == "other":
            self.not_summed[*phase, "unread_feedback"] += 1
        elif not {column.key for column in COLUMNS[TEST]} & values.keys():
            self.not_summed[*phase, "unreadable_feedback"] += 1
        self.add(assigned, one.attributes, one.unit_hash, values)

    def add(
        self, assigned: AssignedTo, attributes: dict[str, str], unit: int, values: dict[str, int | None]
    ) -> None:
        wanted = {column.key for column in COLUMNS[assigned.experiment_id]}
        for segment in segments(assigned, attributes):
            sums = self.sums[assigned.experiment_id, assigned.phase, assigned.variant_number, segment]
            for column, value in values.items():
                if value is not None and column in wanted:
                    sums[column, 0, analysis_bucket(unit)] += 1
                    sums[column, 1, analysis_bucket(unit)] += value


def segments(assigned: AssignedTo, attributes: dict[str, str]) -> list[str]:
    if assigned.experiment_id == CANARY:
        return [f"share={assigned.treatment_share_bp}"]
    if "region" not in attributes:
        return [""]
    value = attributes["region"]
    own = {"eu": "eu", "us": "us", "other": '"other"'}
    return ["", f"region={own.get(value, 'other')}"]


@dataclass
class Database:
    """Both progresses of partition 0, and everything that goes with them."""

    tables: Tables = field(default_factory=Tables)
    offset: int = 0
    sequences: dict[UUID, int] = field(default_factory=dict)
    known: dict[tuple[UUID, int], dict[str, int]] = field(default_factory=dict)
    rows: dict[SumsKey, BucketRow] = field(default_factory=dict)
    not_summed: Counter[tuple[UUID, int, str]] = field(default_factory=Counter)

    def claim(self) -> "Owner":
        partition = self.tables.claim()
        if self.offset < partition.next_offset:
            memory = Memory(0, dict(self.sequences), Ledgers(0), Endings())
            for (experiment_id, phase, event), chunks in self.tables.chunks.items():
                size = self.known.get((experiment_id, phase), {}).get(event, 0)
                for number in sorted(chunks):
                    chunk = UnitChunk(0, experiment_id, phase, event, number, chunks[number])
                    memory.ledgers.load(chunk, size)
            partition.replay_from(self.offset, memory)
        return Owner(self, partition)

    def write(self, rows: list[SumsToWrite]) -> None:
        for row in rows:
            key = SumsKey(row.partition, row.experiment_id, row.phase, row.variant_index, row.segment)
            self.rows[key] = BucketRow(
                row.variant_index,
                row.segment,
                0,
                PARTITIONS,
                row.columns,
                row.sums.copy(),
                unpack_sketches(row.sketches()),
            )


class Owner:
    """A worker, with its partition."""

    def __init__(self, database: Database, partition) -> None:  # type: ignore[no-untyped-def]
        self.database, self.partition, self.delta = database, partition, Delta()
        self.plans = Plans(Endings())
        self.plans._plans = {
            CANARY: Plan(COLUMNS[CANARY]),
            TEST: Plan(COLUMNS[TEST], ("region",), {"region": {"eu", "us", '"other"'}}, {("region", "mars")}),
        }
        self.sums = BucketSums(PARTITIONS, self.plans)
        self.taken: list[Observed] = []

    def flush_counts(self) -> None:
        observed = self.delta.observed()
        self.database.tables.commit(self.delta)
        self.taken.append(observed)
        for columns in observed.columns:
            assert not self.sums.unknown_experiments(columns)
            assert not self.sums.unknown_values(columns)
            self.sums.load(self.sums.lacking(columns), self.database.rows)
            self.sums.add(columns, 0.0)
        self.delta = Delta()

    def flush_sums(self) -> None:
        self.database.write(self.sums.take([0]))
        self.database.not_summed.update({one[:3]: one.n for one in self.sums.take_noticed([0])})
        for observed in self.taken:
            for position in observed.positions.values():
                self.database.offset = position.next_offset
                self.database.sequences |= position.sequences
        self.database.known |= newest([grown for observed in self.taken for grown in observed.grown])
        self.taken = []


STEPS = st.lists(st.sampled_from(["count", "count", "flush", "flush", "sum", "crash"]), max_size=40)


@settings(max_examples=200)
@given(logs(), STEPS)
def test_any_cutting_and_any_crashes_give_the_same_sums(
    log: list[tuple[Record, list[Event]]], steps: list[str]
) -> None:
    """The naive ways that fail: deciding what is first by what the counts know, which are ahead; repeats."""
    database = Database()
    owner = database.claim()
    for step in [*steps, *["count"] * len(log), "flush", "sum"]:
        if step == "flush":
            owner.flush_counts()
        elif step == "sum":
            owner.flush_sums()
        elif step == "crash":
            owner = database.claim()
        elif owner.partition.next_offset < len(log):
            assert owner.partition.count(log[owner.partition.next_offset][0], owner.delta)
    slow = Recount()
    for _, events in log:
        for event in events:
            slow.count(event)
    assert database.offset == database.tables.next_offset == len(log)
    assert summed(database.rows) == nonzero(slow.sums)
    assert database.not_summed == slow.not_summed
    for key, cells in slow.cells.items():
        for source in ("latency", "first_token"):
            row = next(row for place, row in database.rows.items() if place[1:] == key)
            sketch = merge_sketches([row], source)
            rows = Counter(
                {
                    (source, int(replicate), int(sketch.cells[place])): int(sketch.counts[replicate, place])
                    for replicate, place in zip(*np.nonzero(sketch.counts), strict=True)
                }
            )
            assert rows == Counter({cell: n for cell, n in cells.items() if cell[0] == source})


def nonzero(sums: Sums) -> Sums:
    kept = {key: Counter({cell: n for cell, n in cells.items() if n}) for key, cells in sums.items()}
    return {key: cells for key, cells in kept.items() if cells}


def summed(rows: dict[SumsKey, BucketRow]) -> Sums:
    found: Sums = {}
    for key, row in rows.items():
        table = assemble([row])
        found[key[1:]] = Counter(
            {
                (table.columns[column], int(plane), int(bucket)): int(table.sums[column, plane, bucket])
                for column, plane, bucket in zip(*np.nonzero(table.sums), strict=True)
            }
        )
    return nonzero(found)


def test_a_column_that_an_older_row_lacks_begins_at_zero() -> None:
    plans = Plans(Endings())
    plans._plans = {TEST: Plan((Column("units", "units"), Column("error", "error")))}
    sums = BucketSums(PARTITIONS, plans)
    key = SumsKey(0, TEST, 1, 0, "")
    stored = BucketRow(0, "", 0, PARTITIONS, ("error",), np.full((1, 2, 256), 7, np.int64), {})
    sums.load([key], {key: stored})
    (place,) = sums._places
    sums._places.touch(np.array([place.number]), 0.0)
    (row,) = sums.take([0])
    assert row.columns == ("units", "error")
    assert row.sums.sum(axis=(1, 2)).tolist() == [0, 7 * 512]


def test_beyond_their_memory_sums_that_were_idle_longest_are_forgotten_if_they_are_written() -> None:
    plans = Plans(Endings())
    plans._plans = {TEST: Plan((Column("units", "units"), Column("error", "error")))}
    sums = BucketSums(PARTITIONS, plans)
    keys = [SumsKey(0, TEST, 1, variant, "") for variant in range(4)]
    sums.load(keys, {})
    for age, key in enumerate(reversed(keys)):
        sums._places.touch(np.array([sums._places[key].number]), -float(age))
    one = sums.bytes // 4
    assert one == 8 * 2 * 2 * 256
    sums.forget_idle(0.0, 0)
    assert sums.bytes == 4 * one  # Nothing is written yet.
    sums.take([0])
    sums._places.touch(np.array([sums._places[keys[0]].number]), -9.0)
    sums.forget_idle(0.0, 2 * one)
    assert [place.key.variant_index for place in sums._places] == [0, 3]
    assert sums.bytes == 2 * one


def test_forgotten_sums_leave_their_place_to_others_and_nothing_in_it() -> None:
    plans = Plans(Endings())
    plans._plans = {TEST: Plan((Column("units", "units"),))}
    sums = BucketSums(PARTITIONS, plans)
    first, second = SumsKey(0, TEST, 1, 0, ""), SumsKey(0, TEST, 1, 1, "")
    sums.load([first], {first: BucketRow(0, "", 0, PARTITIONS, ("units",), np.ones((1, 2, 256), int), {})})
    old = sums._places[first]
    sums.forget_idle(0.0, 0)
    sums.load([second], {})
    new = sums._places[second]
    assert (new.number, new.start) == (old.number, old.start)
    assert not sums._places.view(new).any()
