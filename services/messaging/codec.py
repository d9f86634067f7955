"""The bytes on each topic: encoders and decoders for the events of ``services.domain``.

Decoding a batch never fails as a whole because of one outcome: what cannot be read is handed back with its
index and the reason, for the dead-letter topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec

from services.domain.configuration import Config
from services.domain.events import (
    FEEDBACK_SCHEMA,
    LARGEST_AMOUNT,
    OUTCOME_SCHEMA,
    AssignedTo,
    DeadLetter,
    DecisionEvent,
    Feedback,
    Outcome,
    OutcomeBatch,
    Touched,
    UnitSource,
)
from services.domain.status import OutcomeStatus

_msgpack = msgspec.msgpack.Encoder(uuid_format="bytes")
_json = msgspec.json.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(OutcomeBatch)
_outcome_decoder = msgspec.msgpack.Decoder(Outcome)
_assignments_decoder = msgspec.msgpack.Decoder(tuple[AssignedTo, ...])


T = TypeVar("T")
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)

Amount = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_AMOUNT)]
"""What is summed."""


class OutcomeView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An ``Outcome`` as counting reads it: field by field the same, but the lists inside stay encoded.

    Equal bytes of ``assignments`` mean equal assignments, so they are decoded once and not for each request.
    """

    request_id: str
    route_key: str
    variant_key: str
    unit_hash: Annotated[int, msgspec.Meta(ge=0)]
    unit_source: UnitSource
    status: OutcomeStatus
    http_status: int
    started_at_us: int
    latency_us: Amount
    first_token_us: Amount | None = None
    prompt_tokens: Amount | None = None
    completion_tokens: Amount | None = None
    streamed: bool = False
    assignments: msgspec.Raw = msgspec.Raw(b"\x90")
    attempts: msgspec.Raw = msgspec.Raw(b"\x90")
    cost_nanos: Amount | None = None
    attributes: dict[str, str] = {}
    covariate: float | None = None
    key_id: str = ""
    team_key: str = ""
    cached_tokens: Amount | None = None


class _RawBatch(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    gateway: UUID
    first_sequence: int
    outcomes: list[msgspec.Raw]


class _RawFeedback(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    feedback: list[msgspec.Raw]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    schema: int


class _ViewBatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    schema: int
    gateway: UUID
    first_sequence: int
    outcomes: list[OutcomeView]


_raw_batch_decoder = msgspec.msgpack.Decoder(_RawBatch)
_raw_feedback_decoder = msgspec.msgpack.Decoder(_RawFeedback)
_schema_decoder = msgspec.msgpack.Decoder(_Head)
_view_decoder = msgspec.msgpack.Decoder(_ViewBatch)
_one_view_decoder = msgspec.msgpack.Decoder(OutcomeView)
_feedback_decoder = msgspec.msgpack.Decoder(Feedback)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a record that could not be decoded. ``index`` None: the whole record."""

    index: int | None
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A record of ``outcomes.v1``, read as far as it can be.

    ``outcomes`` holds (index in the batch, outcome); ``length`` counts the unreadable ones too, so that
    sequence numbers stay right. ``gateway`` None: not even the head could be read.
    """

    gateway: UUID | None
    first_sequence: int
    length: int
    outcomes: list[tuple[int, Outcome]]
    unreadable: list[Unreadable]


NO_VALUE = Unreadable(None, "the record has no value", b"")


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A record of ``outcomes.v1``, read as far as it is counted.

    ``indices`` are the places of ``outcomes`` in the batch; ``length`` counts the unreadable ones too, so
    that sequence numbers stay right. ``gateway`` None: feedback, or a record whose head could not be read.
    """

    gateway: UUID | None = None
    first_sequence: int = 0
    length: int = 0
    indices: Sequence[int] = ()
    outcomes: Sequence[OutcomeView] = ()
    unreadable: Sequence[Unreadable] = ()
    feedback: Sequence[tuple[int, Feedback]] = ()


def decode_assignments(raw: bytes) -> tuple[AssignedTo, ...]:
    """Return the assignments of an ``OutcomeView``. Raises msgspec.DecodeError where they are none."""
    return _assignments_decoder.decode(raw)


def encode_outcome(outcome: Outcome | OutcomeView) -> bytes:
    """Return one outcome's bytes, to be gathered into a batch."""
    return _msgpack.encode(outcome)


def encode_batch(gateway: UUID, first_sequence: int, outcomes: list[bytes]) -> bytes:
    """Return a record of ``outcomes.v1`` from outcomes that are encoded already."""
    return _msgpack.encode((OUTCOME_SCHEMA, gateway, first_sequence, [msgspec.Raw(one) for one in outcomes]))


def encode_feedback(feedback: Feedback) -> bytes:
    """Return the bytes of one piece of feedback, to be put into a record with others."""
    return _msgpack.encode(feedback)


def encode_feedback_batch(feedback: list[bytes]) -> bytes:
    """Return a record of ``outcomes.v1`` from feedback that is encoded already."""
    return _msgpack.encode((FEEDBACK_SCHEMA, [msgspec.Raw(one) for one in feedback]))


def decode_batch(payload: bytes | None) -> DecodedBatch:
    """Read a record of outcomes: the whole at once, and only on failure outcome by outcome."""
    if payload is None:
        return DecodedBatch(None, 0, 0, [], [NO_VALUE])
    try:
        batch = _batch_decoder.decode(payload)
        if batch.schema == OUTCOME_SCHEMA:
            outcomes = list(enumerate(batch.outcomes))
            return DecodedBatch(batch.gateway, batch.first_sequence, len(outcomes), outcomes, [])
    except UNDECODABLE:
        pass
    raw = _decode_head(payload)
    if isinstance(raw, Unreadable):
        return DecodedBatch(None, 0, 0, [], [raw])
    read, unreadable = piecewise(raw.outcomes, _outcome_decoder, "an outcome")
    return DecodedBatch(raw.gateway, raw.first_sequence, len(raw.outcomes), read, unreadable)


def decode_record(payload: bytes | None) -> DecodedRecord:
    """Read a record of ``outcomes.v1`` of either kind, as far as it is counted."""
    if payload is None:
        return DecodedRecord(unreadable=[NO_VALUE])
    try:
        batch = _view_decoder.decode(payload)
        if batch.schema == OUTCOME_SCHEMA:
            length = len(batch.outcomes)
            return DecodedRecord(batch.gateway, batch.first_sequence, length, range(length), batch.outcomes)
    except UNDECODABLE:
        pass
    return _decode_pieces(payload)


def _decode_pieces(payload: bytes) -> DecodedRecord:
    try:
        feedback = _raw_feedback_decoder.decode(payload)
        if feedback.schema == FEEDBACK_SCHEMA:
            read, unreadable = piecewise(feedback.feedback, _feedback_decoder, "feedback")
            return DecodedRecord(feedback=read, unreadable=unreadable)
    except UNDECODABLE:
        pass
    raw = _decode_head(payload)
    if isinstance(raw, Unreadable):
        return DecodedRecord(unreadable=[raw])
    views, unreadable = piecewise(raw.outcomes, _one_view_decoder, "an outcome")
    return DecodedRecord(
        raw.gateway,
        raw.first_sequence,
        len(raw.outcomes),
        [index for index, _ in views],
        [view for _, view in views],
        unreadable,
    )


def _decode_head(payload: bytes) -> _RawBatch | Unreadable:
    try:
        raw = _raw_batch_decoder.decode(payload)
    except UNDECODABLE as error:
        schema = _schema_of(payload)
        if schema in (None, OUTCOME_SCHEMA):
            return Unreadable(None, f"not an outcome batch: {error}", payload)
    else:
        if raw.schema == OUTCOME_SCHEMA:
            return raw
        schema = raw.schema
    known = f"{OUTCOME_SCHEMA} and {FEEDBACK_SCHEMA}"
    reason = f"outcome schema {schema} is not known here; this worker reads schema {known}"
    return Unreadable(None, reason, payload)


def _schema_of(payload: bytes) -> int | None:
    try:
        return _schema_decoder.decode(payload).schema
    except UNDECODABLE:
        return None


def piecewise(
    pieces: Sequence[msgspec.Raw], decoder: msgspec.msgpack.Decoder[T], what: str
) -> tuple[list[tuple[int, T]], list[Unreadable]]:
    """Return what could be decoded, with its index, and what could not."""
    read: list[tuple[int, T]] = []
    unreadable: list[Unreadable] = []
    for index, piece in enumerate(pieces):
        try:
            read.append((index, decoder.decode(piece)))
        except UNDECODABLE as error:
            unreadable.append(Unreadable(index, f"not {what}: {error}", bytes(piece)))
    return read, unreadable


def encode_event(event: Touched | DecisionEvent | Config) -> bytes:
    """Return the JSON of an event or a published state."""
    return _json.encode(event)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Return a dead letter's bytes (MessagePack by field name: its payload is binary)."""
    return _msgpack.encode(letter)


decode_touched = msgspec.json.Decoder(Touched).decode
decode_decision = msgspec.json.Decoder(DecisionEvent).decode
decode_config = msgspec.json.Decoder(Config).decode
decode_dead_letter = msgspec.msgpack.Decoder(DeadLetter).decode
