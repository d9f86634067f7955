"""The wire: outcomes survive it, and one bad outcome does not take its batch along."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import Config, InstallationConfig, LeaseConfig
from services.domain.events import (
    OUTCOME_SCHEMA,
    AssignedTo,
    Attempt,
    DeadLetter,
    DecisionEvent,
    Feedback,
    Outcome,
    Role,
    Touched,
    UnitSource,
)
from services.domain.status import OutcomeStatus
from services.messaging.codec import (
    decode_assignments,
    decode_batch,
    decode_config,
    decode_dead_letter,
    decode_decision,
    decode_record,
    decode_touched,
    encode_batch,
    encode_dead_letter,
    encode_event,
    encode_feedback,
    encode_feedback_batch,
    encode_outcome,
)

GATEWAY = UUID(int=9)
counts = st.integers(0, 2**63 - 1)
statuses = st.sampled_from(OutcomeStatus)
outcomes = st.builds(
    Outcome,
    request_id=st.text(),
    route_key=st.text(),
    variant_key=st.text(),
    unit_hash=st.integers(0, 2**64 - 1),
    unit_source=st.sampled_from(UnitSource),
    status=statuses,
    http_status=st.integers(0, 599),
    started_at_us=counts,
    latency_us=counts,
    first_token_us=st.none() | counts,
    prompt_tokens=st.none() | counts,
    completion_tokens=st.none() | counts,
    streamed=st.booleans(),
    assignments=st.tuples(
        st.builds(
            AssignedTo,
            experiment_id=st.uuids(),
            phase=counts,
            role=st.sampled_from(Role),
            propensity_bp=st.integers(0, 10_000),
        )
    ),
    attempts=st.tuples(
        st.builds(
            Attempt, endpoint_key=st.text(), status=statuses, http_status=st.just(200), duration_us=counts
        )
    ),
)


@given(st.lists(outcomes, max_size=5), counts)
def test_a_batch_comes_back_as_it_was(sent: list[Outcome], first_sequence: int) -> None:
    batch = decode_batch(encode_batch(GATEWAY, first_sequence, [encode_outcome(one) for one in sent]))
    assert (batch.gateway, batch.first_sequence, batch.length) == (GATEWAY, first_sequence, len(sent))
    assert batch.outcomes == list(enumerate(sent))
    assert batch.unreadable == []


@given(st.lists(outcomes, min_size=1, max_size=4), st.data())
def test_one_bad_outcome_is_handed_back_alone(sent: list[Outcome], data: st.DataObject) -> None:
    encoded = [encode_outcome(one) for one in sent]
    at = data.draw(st.integers(0, len(encoded)))
    encoded.insert(at, msgspec.msgpack.encode("not an outcome"))
    batch = decode_batch(encode_batch(GATEWAY, 5, encoded))
    assert batch.length == len(encoded)
    assert [outcome for _, outcome in batch.outcomes] == sent
    assert [index for index, _ in batch.outcomes] == [i for i in range(len(encoded)) if i != at]
    assert [bad.index for bad in batch.unreadable] == [at]


@given(st.binary(max_size=60))
def test_anything_at_all_can_be_decoded(payload: bytes) -> None:
    batch = decode_batch(payload)
    assert batch.length == len(batch.outcomes) + len(
        [bad for bad in batch.unreadable if bad.index is not None]
    )


@pytest.mark.parametrize("payload", [None, b"", b"garbage"])
def test_what_is_no_batch_is_handed_back_whole(payload: bytes | None) -> None:
    batch = decode_batch(payload)
    assert batch.gateway is None
    assert [bad.index for bad in batch.unreadable] == [None]


def test_an_unknown_schema_is_handed_back_whole() -> None:
    payload = msgspec.msgpack.encode((OUTCOME_SCHEMA + 1, GATEWAY.bytes, 0, []))
    (unreadable,) = decode_batch(payload).unreadable
    assert str(OUTCOME_SCHEMA + 1) in unreadable.reason


def test_an_outcome_with_fields_of_a_later_release_is_read() -> None:
    outcome = Outcome(
        request_id="r",
        route_key="r",
        variant_key="v",
        unit_hash=1,
        unit_source=UnitSource.USER,
        status=OutcomeStatus.OK,
        http_status=200,
        started_at_us=1,
        latency_us=1,
    )
    longer = [*msgspec.msgpack.decode(encode_outcome(outcome)), "from the future"]
    batch = decode_batch(encode_batch(GATEWAY, 0, [msgspec.msgpack.encode(longer)]))
    assert batch.outcomes == [(0, outcome)]


@pytest.mark.parametrize(
    "state",
    [
        InstallationConfig(version=(1, 2), installation_id=UUID(int=1), outcome_partitions=8),
        LeaseConfig(version=(0, 5), experiment_id=UUID(int=2), measured_at=0.5),
    ],
)
def test_states_come_back_as_they_were(state: Config) -> None:
    assert decode_config(encode_event(state)) == state


def test_the_other_events_come_back_as_they_were() -> None:
    touched = Touched(experiment_id=UUID(int=1), phase=1, partition=2, next_offset=3)
    assert decode_touched(encode_event(touched)) == touched
    decision = DecisionEvent(
        decision_id=UUID(int=1),
        experiment_id=UUID(int=2),
        phase=1,
        action="rollback",
        reason="because",
        actor="policy",
        allocation_version=4,
        decided_at_us=5,
        evidence={"e_value": 101.5},
    )
    assert decode_decision(encode_event(decision)) == decision
    letter = DeadLetter(topic="t", partition=1, offset=2, index=None, reason="r", payload=b"\xff\x00")
    assert decode_dead_letter(encode_dead_letter(letter)) == letter


REPORT = Feedback(
    event_id="e",
    name="satisfaction",
    value=1.0,
    is_boolean=True,
    unit_hash=2**64 - 1,
    unit_source=UnitSource.USER,
    request_id="r",
    route_key="chat",
    received_at_us=1,
    assignments=(AssignedTo(GATEWAY, 1, Role.CONTROL, 5_000, 0),),
)


def test_a_batch_of_feedback_is_read_report_by_report() -> None:
    bad = msgspec.msgpack.encode(["e", "satisfaction", "not a number"])
    record = decode_record(encode_feedback_batch([encode_feedback(REPORT), bad, encode_feedback(REPORT)]))
    assert list(record.feedback) == [(0, REPORT), (2, REPORT)]
    assert [(one.index, one.payload) for one in record.unreadable] == [(1, bad)]
    assert (record.gateway, record.outcomes) == (None, ())


@given(st.lists(outcomes, max_size=5), counts)
def test_counting_reads_what_was_sent(sent: list[Outcome], first_sequence: int) -> None:
    encoded = [encode_outcome(one) for one in sent]
    record = decode_record(encode_batch(GATEWAY, first_sequence, encoded))
    too_large = [one for one in sent if max(summed(one)) > 2**48]
    assert (record.gateway, record.first_sequence, record.length) == (GATEWAY, first_sequence, len(sent))
    assert len(record.unreadable) == len(too_large)
    for index, view in zip(record.indices, record.outcomes, strict=True):
        assert encode_outcome(view) == encoded[index]
        assert decode_assignments(bytes(view.assignments)) == sent[index].assignments


def summed(outcome: Outcome) -> tuple[int, ...]:
    """The amounts that are added up."""
    optional = (outcome.first_token_us, outcome.prompt_tokens, outcome.completion_tokens)
    return (outcome.latency_us, *(value or 0 for value in optional))


@given(st.binary(max_size=60))
def test_any_record_at_all_can_be_decoded(payload: bytes) -> None:
    record = decode_record(payload)
    assert len(record.indices) == len(record.outcomes)
