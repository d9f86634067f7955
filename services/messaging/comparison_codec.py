"""The bytes on ``comparisons.v1``. Repeats are harmless there, so nothing is numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from services.domain.events import COMPARISON_SCHEMA, Comparison, ShadowCoverage
from services.messaging.codec import NO_VALUE, UNDECODABLE, Unreadable, piecewise


class _RawComparisons(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    gateway: UUID
    comparisons: list[msgspec.Raw]
    coverage: list[msgspec.Raw]


_msgpack = msgspec.msgpack.Encoder(uuid_format="bytes")
_raw_decoder = msgspec.msgpack.Decoder(_RawComparisons)
_comparison_decoder = msgspec.msgpack.Decoder(Comparison)
_coverage_decoder = msgspec.msgpack.Decoder(ShadowCoverage)


@dataclass(frozen=True, slots=True)
class DecodedComparisons:
    """A record of ``comparisons.v1``, read as far as it can be. ``gateway`` None: not even its head could."""

    gateway: UUID | None
    comparisons: Sequence[Comparison]
    coverage: Sequence[ShadowCoverage]
    unreadable: Sequence[Unreadable]


def encode_comparison(event: Comparison | ShadowCoverage) -> bytes:
    """Return the bytes of what a record of ``comparisons.v1`` is put together from."""
    return _msgpack.encode(event)


def encode_comparisons(gateway: UUID, comparisons: list[bytes], coverage: list[bytes]) -> bytes:
    """Return a record of ``comparisons.v1`` from what is encoded already."""
    parts = ([msgspec.Raw(one) for one in encoded] for encoded in (comparisons, coverage))
    return _msgpack.encode((COMPARISON_SCHEMA, gateway, *parts))


def decode_comparisons(payload: bytes | None) -> DecodedComparisons:
    """Read a record of ``comparisons.v1``, as far as it can be."""
    raw = NO_VALUE if payload is None else _decode_head(payload)
    if isinstance(raw, Unreadable):
        return DecodedComparisons(None, (), (), (raw,))
    comparisons, unread = piecewise(raw.comparisons, _comparison_decoder, "a comparison")
    coverage, unread_too = piecewise(raw.coverage, _coverage_decoder, "coverage")
    return DecodedComparisons(
        raw.gateway, [one for _, one in comparisons], [one for _, one in coverage], [*unread, *unread_too]
    )


def _decode_head(payload: bytes) -> _RawComparisons | Unreadable:
    try:
        raw = _raw_decoder.decode(payload)
    except UNDECODABLE as error:
        return Unreadable(None, f"not a batch of comparisons: {error}", payload)
    if raw.schema == COMPARISON_SCHEMA:
        return raw
    reason = f"comparison schema {raw.schema} is not known here; this worker reads {COMPARISON_SCHEMA}"
    return Unreadable(None, reason, payload)
