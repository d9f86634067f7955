"""Where the processes of one gateway leave their reports, so that any of them can answer for all.

Shared memory, made before the processes are: one place for each, written by nobody else. A reader that meets
a report in the middle of being written sees that its checksum is wrong and looks again.
"""

from __future__ import annotations

import logging
import mmap
import struct
import time
from typing import Any
from zlib import crc32

import msgspec

from services.gateway.exposition import Family

logger = logging.getLogger(__name__)

PLACE_BYTES = 32 * 1024 * 1024
"""Address space of one report; memory is only taken for what is written."""
OLD_SECONDS = 10.0
"""A process that has reported nothing for so long is left out."""
_LOOKS = 5
_HEAD = struct.Struct("<QQd")


class Report(msgspec.Struct):
    """What one process says of itself."""

    process: int
    pid: int
    gateway: str
    endpoints: list[dict[str, Any]]
    families: list[Family]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode


class Board:
    """The reports of all processes; ``process`` counts from 0."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._map = mmap.mmap(-1, processes * PLACE_BYTES)

    def write(self, process: int, report: Report) -> None:
        """Replace a process's report."""
        content = _encode(report)
        if len(content) > PLACE_BYTES - _HEAD.size:
            logger.warning("the report of %d bytes does not fit on the board", len(content))
            return
        place = process * PLACE_BYTES
        start = place + _HEAD.size
        self._map[start : start + len(content)] = content
        _HEAD.pack_into(self._map, place, len(content), crc32(content), time.monotonic())

    def clear(self, process: int) -> None:
        """Drop the report of a process that is dead."""
        _HEAD.pack_into(self._map, process * PLACE_BYTES, 0, 0, 0.0)

    def others(self, process: int) -> list[Report]:
        """Return the reports of the other processes, as far as they are recent."""
        reports = [self._read(other) for other in range(self._processes) if other != process]
        return [report for report in reports if report is not None]

    def _read(self, process: int) -> Report | None:
        place = process * PLACE_BYTES
        start = place + _HEAD.size
        for _ in range(_LOOKS):
            length, checksum, written_at = _HEAD.unpack_from(self._map, place)
            if not length or time.monotonic() - written_at > OLD_SECONDS:
                return None
            content = self._map[start : start + length]
            if crc32(content) == checksum:
                return _decode(content)
        return None
