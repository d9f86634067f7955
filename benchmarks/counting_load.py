"""Records of outcomes for the counting benchmark, made as fast as they are needed.

An outcome is put together from encoded pieces: what differs from one to the next is the unit, its assignment
and one of a few thousand drawn bodies (status, latency, cost, whose key it was). Units come and go: each
sends ten requests on average within a stretch of the log, so one outcome in ten is the first of its unit from
beginning to end.
"""

from __future__ import annotations

import random
import time
from uuid import UUID, uuid4

import msgspec

from services.domain.assignment import outcome_partition
from services.domain.events import AssignedTo, Outcome, Role, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import encode_batch, encode_outcome
from services.storage.identifiers import new_id
from services.workers.counts import Record

BATCH = 100
PARTITIONS = 8
BODIES = 4_096
REQUESTS_OF_UNIT = 10
OUTCOMES_A_MS = 50
"""Of the log's time."""
UNITS_AT_A_TIME = 20_000
"""Among how many units the next request's is drawn."""
KEYS, TEAMS = 20, 5
"""How many keys send requests, and how many teams those belong to."""

_UNIT = 0xC1C2C3C4C5C6C7C8
_GOLDEN = 0x9E3779B97F4A7C15
"""Multiplying by it spreads consecutive numbers evenly over 64 bits."""


class Load:
    """An endless log of ``PARTITIONS`` partitions with outcomes of some experiments.

    ``seconds`` is the CPU time that making records took so far: it belongs to no worker.
    """

    def __init__(self, experiments: int, *, seed: int = 1) -> None:
        self.experiments: list[UUID] = [new_id() for _ in range(experiments)]
        self.made = 0
        self.seconds = 0.0
        self._source = random.Random(seed)
        self._gateway = uuid4()
        self._pieces = [_pieces(self._source) for _ in range(BODIES)]
        self._assignments = [
            [_assignment(experiment_id, role) for role in Role] for experiment_id in self.experiments
        ]
        self._pending: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self._offsets = [0] * PARTITIONS

    def next(self) -> Record:
        """Return the next record."""
        started = time.thread_time()
        record = self._next()
        self.seconds += time.thread_time() - started
        return record

    def _next(self) -> Record:
        while True:
            partition, outcome = self._outcome()
            batch = self._pending[partition]
            batch.append(outcome)
            if len(batch) == BATCH:
                return self._record(partition, batch)

    def _outcome(self) -> tuple[int, bytes]:
        draw = int(self._source.random() * (UNITS_AT_A_TIME * BODIES))
        unit = self.made // REQUESTS_OF_UNIT + draw // BODIES
        self.made += 1
        known = len(self.experiments)
        assignment = self._assignments[unit % known][unit // known % 2]
        head, middle, tail = self._pieces[draw % BODIES]
        unit_hash = unit * _GOLDEN % 2**64
        encoded = b"".join((head, b"\xcf", unit_hash.to_bytes(8, "big"), middle, assignment, tail))
        return outcome_partition(unit_hash, PARTITIONS), encoded

    def _record(self, partition: int, batch: list[bytes]) -> Record:
        offset = self._offsets[partition]
        self._offsets[partition] = offset + 1
        value = encode_batch(self._gateway, offset * BATCH, batch)
        batch.clear()
        # A minute of the log's time lasts some seven seconds of a worker at its limit, to have some minutes.
        return Record(partition, offset, 1_700_000_000_000 + self.made // OUTCOMES_A_MS, value)


def _pieces(source: random.Random) -> tuple[bytes, bytes, bytes]:
    """Return a drawn outcome's bytes before its unit, between that and the assignments, and after those."""
    place = AssignedTo(UUID(int=0), 1, Role.CONTROL, 5_000, 0)
    failed = source.random() < 0.01
    key = source.randrange(KEYS)
    whole = encode_outcome(
        Outcome(
            request_id=f"{source.getrandbits(64):016x}",
            route_key="chat",
            variant_key="gpt-small",
            unit_hash=_UNIT,
            unit_source=UnitSource.USER,
            status=OutcomeStatus.TIMEOUT if failed else OutcomeStatus.OK,
            http_status=200,
            started_at_us=1_700_000_000_000_000,
            latency_us=int(source.lognormvariate(13.0, 0.8)),
            prompt_tokens=120,
            completion_tokens=80,
            assignments=(place,),
            cost_nanos=source.randrange(1_000_000),
            key_id=f"key_{key:012x}",
            team_key=f"team-{key % TEAMS}",
            cached_tokens=source.randrange(120),
        )
    )
    head, rest = whole.split(b"\xcf" + _UNIT.to_bytes(8, "big"))
    middle, tail = rest.split(_encode((place,)))
    return head, middle, tail


def _assignment(experiment_id: UUID, role: Role) -> bytes:
    return _encode((AssignedTo(experiment_id, 1, role, 5_000, int(role)),))


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
