"""A stand-in for a gateway: sends batches of outcomes and remembers what must be counted of them."""

import random
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import msgspec
from aiokafka import AIOKafkaProducer

from services.domain.assignment import outcome_partition, unit_hash
from services.domain.events import AssignedTo, Outcome, Role, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import encode_batch, encode_outcome
from services.messaging.settings import KafkaSettings
from services.messaging.topics import TopicNames

SHARE_BP = 2_500


def an_outcome(unit: str, *, experiment_id: UUID | None = None, **changes: object) -> Outcome:
    """One outcome, of the treatment where the unit's hash says so."""
    hashed = unit_hash(unit)
    role = Role.TREATMENT if hashed % 10_000 < SHARE_BP else Role.CONTROL
    propensity = SHARE_BP if role is Role.TREATMENT else 10_000 - SHARE_BP
    values: dict[str, object] = {
        "request_id": f"req-{unit}",
        "route_key": "chat",
        "variant_key": role.label,
        "unit_hash": hashed,
        "unit_source": UnitSource.USER,
        "status": OutcomeStatus.OK,
        "http_status": 200,
        "started_at_us": 1,
        "latency_us": 1_000,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "assignments": (AssignedTo(experiment_id, 1, role, propensity),) if experiment_id else (),
    }
    return Outcome(**{**values, **changes})


@dataclass
class Gateway:
    """Sends outcomes of one experiment with contiguous sequence numbers."""

    kafka: KafkaSettings
    partitions: int
    experiment_id: UUID = field(default_factory=uuid4)
    incarnation: UUID = field(default_factory=uuid4)
    seed: int = 1
    units: int = 200
    error_rates: dict[str, float] = field(default_factory=lambda: {"control": 0.1, "treatment": 0.1})
    sent: int = 0
    expected: Counter[str] = field(default_factory=Counter)
    _sequences: Counter[int] = field(default_factory=Counter)
    _seen: dict[str, set[str]] = field(default_factory=lambda: {"request": set(), "error": set()})
    _producer: AIOKafkaProducer | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.topic = TopicNames(self.kafka.topic_prefix).outcomes

    async def __aenter__(self) -> "Gateway":
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.kafka, acks="all", enable_idempotence=True
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.producer.stop()

    @property
    def producer(self) -> AIOKafkaProducer:
        assert self._producer is not None
        return self._producer

    async def send(self, outcomes: int, *, batch: int = 5) -> None:
        """Send that many random outcomes; returns when Kafka has them."""
        pending: dict[int, list[Outcome]] = {}
        for _ in range(outcomes):
            outcome = self._draw()
            partition = outcome_partition(outcome.unit_hash, self.partitions)
            gathered = pending.setdefault(partition, [])
            gathered.append(outcome)
            if len(gathered) == batch:
                await self.send_batch(partition, pending.pop(partition))
        for partition, gathered in pending.items():
            await self.send_batch(partition, gathered)

    async def send_batch(self, partition: int, outcomes: list[Outcome]) -> int:
        """Send one batch with the next numbers; return its offset."""
        first = self.take_numbers(partition, len(outcomes))
        self.sent += len(outcomes)
        return await self.send_record(partition, self.encode(first, outcomes))

    def take_numbers(self, partition: int, count: int) -> int:
        """Give out sequence numbers; return the first."""
        first = self._sequences[partition]
        self._sequences[partition] += count
        return first

    def encode(self, first: int, outcomes: list[Outcome]) -> bytes:
        """Return a record's value."""
        return encode_batch(self.incarnation, first, [encode_outcome(one) for one in outcomes])

    async def send_record(self, partition: int, value: bytes | None) -> int:
        """Send any record; return its offset."""
        sent = await self.producer.send_and_wait(self.topic, value, key=b"", partition=partition)
        return int(sent.offset)

    def _draw(self) -> Outcome:
        unit = f"unit-{self._random.randrange(self.units)}"
        outcome = an_outcome(unit, experiment_id=self.experiment_id)
        role = outcome.assignments[0].role.label
        failed = self._random.random() < self.error_rates[role]
        self._expect(unit, role, failed)
        return msgspec.structs.replace(outcome, status=OutcomeStatus.PROVIDER_ERROR) if failed else outcome

    def _expect(self, unit: str, role: str, failed: bool) -> None:
        self.expected[f"{role} requests"] += 1
        self.expected[f"{role} errors"] += failed
        if unit not in self._seen["request"]:
            self._seen["request"].add(unit)
            self.expected[f"{role} first_requests"] += 1
            self.expected[f"{role} first_request_errors"] += failed
        if failed and unit not in self._seen["error"]:
            self._seen["error"].add(unit)
            self.expected[f"{role} first_errors"] += 1
