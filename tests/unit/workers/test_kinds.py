"""Outcomes of one kind share a number, and those that cannot count are known by it."""

from uuid import UUID

import pytest

from services.domain.ab_test import MAX_VARIANTS
from services.domain.events import AssignedTo, Outcome, Role, UnitSource
from services.domain.status import OutcomeStatus
from services.messaging.codec import decode_record, encode_batch, encode_outcome
from services.workers.counts import Delta, Record
from services.workers.kinds import KINDS_KEPT, Kinds
from services.workers.ledgers import MOST_VARIANTS
from services.workers.partitions import Partition

TEST, GATEWAY = UUID(int=1), UUID(int=2)


def an_outcome(variant: int = 0, *, route_key: str = "chat", propensity_bp: int = 5_000) -> bytes:
    return encode_outcome(
        Outcome(
            request_id="r",
            route_key=route_key,
            variant_key="v",
            unit_hash=7,
            unit_source=UnitSource.USER,
            status=OutcomeStatus.OK,
            http_status=200,
            started_at_us=0,
            latency_us=1,
            assignments=(AssignedTo(TEST, 1, Role.TREATMENT, propensity_bp, variant),),
        )
    )


def test_the_same_kind_has_the_same_number() -> None:
    kinds = Kinds()
    batch = encode_batch(
        GATEWAY, 0, [an_outcome(1), an_outcome(2), an_outcome(1, route_key="x"), an_outcome(1)]
    )
    assert kinds.of(decode_record(batch).outcomes) == [0, 1, 2, 0]
    assert [kind.assignments[0].variant_number for kind in kinds.known] == [1, 2, 1]


def test_kinds_are_forgotten_where_they_become_too_many() -> None:
    kinds = Kinds()
    assert kinds.kept() is kinds
    for number in range(KINDS_KEPT + 1):
        kinds[str(number), "v", b"\x90"]
    assert not kinds.kept()


@pytest.mark.parametrize(
    "unfit",
    [an_outcome(MOST_VARIANTS), an_outcome(propensity_bp=0), an_outcome(propensity_bp=10_000)],
)
def test_what_cannot_count_goes_aside_and_the_rest_counts(unfit: bytes) -> None:
    """A variant beyond the last would be taken for another one: there is a bit for each."""
    assert MAX_VARIANTS <= MOST_VARIANTS
    partition, delta = Partition("outcomes.v1", 0, 1, 0), Delta()
    fine = an_outcome(MOST_VARIANTS - 1)
    partition.count(Record(0, 0, 60_000, encode_batch(GATEWAY, 0, [fine, unfit, fine])), delta)
    assert [letter.index for letter in delta.dead_letters] == [1]
    assert [(row.variant_index, row.requests) for row in delta.experiment_rows()] == [(MOST_VARIANTS - 1, 2)]
