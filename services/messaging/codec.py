"""The bytes on each topic: encoders and decoders for the events of ``services.domain``.

Decoding a batch never fails as a whole because of one outcome: what cannot be read is handed back with its
index and the reason, for the dead-letter topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import msgspec

from services.domain.configuration import Config
from services.domain.events import OUTCOME_SCHEMA, DeadLetter, DecisionEvent, Outcome, OutcomeBatch, Touched

_msgpack = msgspec.msgpack.Encoder(uuid_format="bytes")
_json = msgspec.json.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(OutcomeBatch)
_outcome_decoder = msgspec.msgpack.Decoder(Outcome)


class _RawBatch(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    gateway: UUID
    first_sequence: int
    outcomes: list[msgspec.Raw]


_raw_batch_decoder = msgspec.msgpack.Decoder(_RawBatch)


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


def encode_outcome(outcome: Outcome) -> bytes:
    """Return one outcome's bytes, to be gathered into a batch."""
    return _msgpack.encode(outcome)


def encode_batch(gateway: UUID, first_sequence: int, outcomes: list[bytes]) -> bytes:
    """Return a record of ``outcomes.v1`` from outcomes that are encoded already."""
    return _msgpack.encode((OUTCOME_SCHEMA, gateway, first_sequence, [msgspec.Raw(one) for one in outcomes]))


def decode_batch(payload: bytes | None) -> DecodedBatch:
    """Read a record of ``outcomes.v1``: the whole at once, and only on failure outcome by outcome."""
    if payload is None:
        return DecodedBatch(None, 0, 0, [], [Unreadable(None, "the record has no value", b"")])
    try:
        batch = _batch_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_piecewise(payload)
    if batch.schema != OUTCOME_SCHEMA:
        return _unknown_schema(batch.schema, payload)
    return DecodedBatch(
        batch.gateway, batch.first_sequence, len(batch.outcomes), list(enumerate(batch.outcomes)), []
    )


def _unknown_schema(schema: int, payload: bytes) -> DecodedBatch:
    reason = f"outcome schema {schema} is not known here; this worker reads schema {OUTCOME_SCHEMA}"
    return DecodedBatch(None, 0, 0, [], [Unreadable(None, reason, payload)])


def _decode_piecewise(payload: bytes) -> DecodedBatch:
    try:
        raw = _raw_batch_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return DecodedBatch(None, 0, 0, [], [Unreadable(None, f"not an outcome batch: {error}", payload)])
    if raw.schema != OUTCOME_SCHEMA:
        return _unknown_schema(raw.schema, payload)
    outcomes: list[tuple[int, Outcome]] = []
    unreadable: list[Unreadable] = []
    for index, piece in enumerate(raw.outcomes):
        try:
            outcomes.append((index, _outcome_decoder.decode(piece)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            unreadable.append(Unreadable(index, f"not an outcome: {error}", bytes(piece)))
    return DecodedBatch(raw.gateway, raw.first_sequence, len(raw.outcomes), outcomes, unreadable)


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
