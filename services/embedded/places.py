"""Where a server keeps its files: a directory that is given and stays, or a scratch one that goes with it."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TextIO

from services.embedded.errors import DirectoryInUse


def claim(directory: Path) -> TextIO:
    """Hold a directory for this process until the file is closed; the kernel closes it with the process.

    Two servers on one directory destroy its data, so the second is refused before it touches anything.
    """
    file = (directory / "in-use-by").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise DirectoryInUse(
            f"{directory} is in use by process {owner}; stop that one, or name another directory"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


class Place:
    """A server's directory; ``scratch`` is the same path when it is temporary, else None.

    A temporary one is made in ``scratch_in``, or where the system keeps such.
    """

    def __init__(self, name: str, given: Path | None, *, scratch_in: Path | None = None) -> None:
        if given is None:
            self.path = Path(tempfile.mkdtemp(prefix=f"headgate-{name}-", dir=scratch_in)).resolve()
            self.scratch: Path | None = self.path
        else:
            self.path = given.resolve()
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.scratch = None
        self._claim = claim(self.path)

    def clear(self) -> None:
        """Let go of it, and remove it if it is temporary."""
        self._claim.close()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
