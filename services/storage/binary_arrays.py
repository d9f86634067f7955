"""NumPy's arrays as parameters: in Postgres' binary format, made without an object for each element."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEAD = struct.Struct(">iiI")
_DIMENSION = struct.Struct(">ii")


class BinaryArray:
    """A one-dimensional array without missing values."""

    __slots__ = ("values",)
    element: ClassVar[np.dtype[Any]]
    """How an element is stored."""
    element_oid: ClassVar[int]

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def packed(self) -> bytes:
        """Return the array as Postgres receives it."""
        if not len(self.values):
            return _HEAD.pack(0, 0, self.element_oid)
        rows = np.empty(len(self.values), [("length", ">i4"), ("value", self.element)])
        rows["length"], rows["value"] = self.element.itemsize, self.values
        return _HEAD.pack(1, 0, self.element_oid) + _DIMENSION.pack(len(rows), 1) + rows.tobytes()


class Int4s(BinaryArray):
    """``int[]``."""

    element, element_oid = np.dtype(">i4"), 23


class Int8s(BinaryArray):
    """``bigint[]``."""

    element, element_oid = np.dtype(">i8"), 20


class Uuids(BinaryArray):
    """``uuid[]``, of 16 bytes each."""

    element, element_oid = np.dtype("V16"), 2950


def int4s(values: Sequence[int]) -> Int4s:
    """Return ``int[]`` of these."""
    return Int4s(np.array(values, np.int64))


def uuids(values: Sequence[UUID]) -> Uuids:
    """Return ``uuid[]`` of these."""
    return Uuids(np.frombuffer(b"".join([one.bytes for one in values]), Uuids.element))


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> Buffer:
        return obj.packed()


class _Int4sDumper(_ArrayDumper):
    oid = 1007


class _Int8sDumper(_ArrayDumper):
    oid = 1016


class _UuidsDumper(_ArrayDumper):
    oid = 2951


psycopg.adapters.register_dumper(Int4s, _Int4sDumper)
psycopg.adapters.register_dumper(Int8s, _Int8sDumper)
psycopg.adapters.register_dumper(Uuids, _UuidsDumper)
