"""The sequence journal: how many outcomes this gateway has numbered, kept where a kill -9 cannot reach it.

A small file is mapped into memory and locked while its gateway lives. Each number given out is written
there before the outcome goes anywhere, which costs one store: the kernel keeps the page when the process
dies. A file that is not locked any more belongs to a dead gateway; whoever finds it tells Kafka how far that
one had counted, so that what it never sent shows as missing.

Layout, little-endian: magic (8 bytes), gateway and installation (16 bytes each), partitions (8 bytes), then
the next sequence number of each partition (8 bytes each).
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from uuid import UUID

logger = logging.getLogger(__name__)

_HEAD = struct.Struct("<8s16s16sQ")
_MAGIC = b"hgseq\x00\x00\x01"
_NUMBER_BYTES = 8
_SUFFIX = ".sequences"


class SequenceJournal:
    """One gateway's journal. ``numbers[partition]`` is the next sequence number; assigning writes it."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._map = mmap.mmap(file, 0)
        magic, gateway, installation, partitions = _HEAD.unpack_from(self._map)
        if magic != _MAGIC or len(self._map) != _HEAD.size + partitions * _NUMBER_BYTES:
            self._map.close()
            raise ValueError(f"{path} is not a sequence journal")
        self.gateway = UUID(bytes=gateway)
        self.installation = UUID(bytes=installation)
        self.numbers = memoryview(self._map)[_HEAD.size :].cast("Q")

    @classmethod
    def create(cls, state_dir: Path, gateway: UUID, installation: UUID, partitions: int) -> Self:
        """Make the journal of a gateway that starts."""
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = state_dir / f"{gateway}{_SUFFIX}"
        new = path.with_suffix(".new")
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        head = _HEAD.pack(_MAGIC, gateway.bytes, installation.bytes, partitions)
        os.write(file, head + bytes(partitions * _NUMBER_BYTES))
        # Only now can it be found: a process that starts beside this one never sees it half made or unlocked.
        new.rename(path)
        return cls(path, file)

    def close(self) -> None:
        """Let go of the file; the next gateway to start will announce it."""
        self.numbers.release()
        self._map.close()
        os.close(self._file)

    def remove(self) -> None:
        """Delete the file: Kafka knows all that it says."""
        self.path.unlink(missing_ok=True)
        self.close()


def adopt_orphans(state_dir: Path, installation: UUID) -> Iterator[SequenceJournal]:
    """Yield, locked, the journals of gateways of this installation that died."""
    for path in sorted(state_dir.glob(f"*{_SUFFIX}")):
        orphan = _adopt(path)
        if orphan is None:
            continue
        if orphan.installation == installation:
            yield orphan
        else:
            orphan.close()


def _adopt(path: Path) -> SequenceJournal | None:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between our opening and our locking another gateway may have dealt with it and deleted it.
        if os.fstat(file).st_nlink:
            return SequenceJournal(path, file)
    except BlockingIOError:
        pass
    except (ValueError, struct.error) as error:
        # Died before it was written whole, so before the first number was given out.
        logger.warning("removing %s: %s", path, error)
        path.unlink(missing_ok=True)
    os.close(file)
    return None
