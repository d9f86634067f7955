"""The inputs of an evaluation as JSON, and back: what a stored decision is recomputed from."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from services.domain.bucket_table import BucketTable
from services.domain.counts import CountTable
from services.domain.sketches import SourceSketches

T = TypeVar("T")


def pack(inputs: msgspec.Struct) -> dict[str, Any]:
    """Return the inputs as values that JSON knows."""
    body: dict[str, Any] = msgspec.to_builtins(inputs, enc_hook=_plain)
    return body


def unpack(body: dict[str, Any], kind: type[T]) -> T:
    """Read packed inputs back. Raises ``msgspec.ValidationError`` where they are something else."""
    return msgspec.convert(body, kind, dec_hook=_whole)


def _plain(value: Any) -> Any:
    if isinstance(value, CountTable):
        return value.to_lists()
    if isinstance(value, BucketTable | SourceSketches):
        return value.pack()
    raise NotImplementedError(f"{type(value).__name__} cannot be stored with a decision")


def _whole(kind: type, value: Any) -> Any:
    if kind is CountTable:
        return CountTable.from_lists(value)
    if kind is BucketTable:
        return BucketTable.unpack(value)
    if kind is SourceSketches:
        return SourceSketches.unpack(value)
    raise NotImplementedError(f"{kind.__name__} cannot be read from a stored decision")
