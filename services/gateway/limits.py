"""How many requests each endpoint has under way, across the processes of one gateway.

A process counts its own in plain integers. Where an endpoint has a limit and the gateway has several
processes, each also writes its count into memory that all of them share, a row for each process: nobody ever
writes what another writes, so counting needs no lock, and the row of a process that died is cleared. Two
processes that look at the same moment can overshoot the limit by one each.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import tempfile
from hashlib import blake2b
from pathlib import Path

logger = logging.getLogger(__name__)

COLUMNS = 1024
"""How many endpoints with a limit there can be; beyond it, each process counts for itself."""
_NUMBER_BYTES = 8


class SharedCounts:
    """A table of counts: a column for each name, a row for each process. Made before the processes are."""

    def __init__(self, processes: int) -> None:
        # An open file without a name, for its lock; it lives as long as the processes.
        self._lock, path = tempfile.mkstemp()
        Path(path).unlink()
        self._map = mmap.mmap(-1, (processes + 1) * COLUMNS * _NUMBER_BYTES)
        numbers = memoryview(self._map).cast("Q")
        self._names = numbers[:COLUMNS]
        self._rows = [numbers[(row + 1) * COLUMNS : (row + 2) * COLUMNS] for row in range(processes)]

    def clear(self, process: int) -> None:
        """Forget what a process counted: it is dead."""
        self._rows[process][:] = memoryview(bytes(COLUMNS * _NUMBER_BYTES)).cast("Q")

    def cell(self, process: int, name: str) -> SharedCount | None:
        """Return the process's place for one name; None where the table is full."""
        column = self._column(int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) or 1)
        if column is None:
            logger.warning("over %d endpoints have a limit; each process counts %s alone", COLUMNS, name)
            return None
        return SharedCount(self._rows, process, column)

    def _column(self, digest: int) -> int | None:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            for column, held in enumerate(self._names):
                if held in (digest, 0):
                    self._names[column] = digest
                    return column
            return None
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


class SharedCount:
    """One count, and those of the other processes beside it."""

    __slots__ = ("_column", "_own", "_rows")

    def __init__(self, rows: list[memoryview[int]], process: int, column: int) -> None:
        self._rows = rows
        self._own = rows[process]
        self._column = column

    def set(self, count: int) -> None:
        """Write this process's count."""
        self._own[self._column] = count

    @property
    def total(self) -> int:
        """The sum over all processes."""
        column = self._column
        return sum([row[column] for row in self._rows])
