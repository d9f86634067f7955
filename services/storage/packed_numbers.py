"""Arrays of whole numbers in MessagePack, made without an object for each number."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers

_FIXED_ARRAY, _ARRAY_16, _ARRAY_32 = 0x90, 0xDC, 0xDD
_PAIR = bytes((_FIXED_ARRAY | 2,))
_UINT_32, _UINT_64 = 0xCE, 0xCF
_LARGEST_FIXED = 127
"""Up to it a number is its own byte."""


class PackedNumbers:
    """Whole numbers from 0 on, of which pieces are asked for. All take as many bytes as the largest does."""

    __slots__ = ("_bytes", "_width")

    def __init__(self, numbers: Integers) -> None:
        largest = int(numbers.max(initial=0))
        packed: NDArray[Any]
        if largest <= _LARGEST_FIXED:
            packed = numbers.astype(np.uint8)
        else:
            kind, value = (_UINT_32, ">u4") if largest < 1 << 32 else (_UINT_64, ">u8")
            packed = np.empty(len(numbers), [("kind", np.uint8), ("value", value)])
            packed["kind"], packed["value"] = kind, numbers
        self._bytes = packed.tobytes()
        self._width = packed.itemsize

    def array(self, start: int, end: int) -> bytes:
        """Return an array of these from ``start`` to before ``end``."""
        return _head(end - start) + self._bytes[start * self._width : end * self._width]


def pair(first: bytes, second: bytes) -> msgspec.Raw:
    """Return an array of two packed values."""
    return msgspec.Raw(b"".join((_PAIR, first, second)))


def _head(length: int) -> bytes:
    if length < 16:
        return bytes((_FIXED_ARRAY | length,))
    if length < 1 << 16:
        return struct.pack(">BH", _ARRAY_16, length)
    return struct.pack(">BI", _ARRAY_32, length)
