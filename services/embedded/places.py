"""Where a server keeps its files: a directory that is given and stays, or a scratch one that goes with it."""

import shutil
import tempfile
from pathlib import Path


class Place:
    """A server's directory; ``scratch`` is the same path when it is temporary, else None."""

    def __init__(self, name: str, given: Path | None) -> None:
        if given is None:
            self.path = Path(tempfile.mkdtemp(prefix=f"headgate-{name}-")).resolve()
            self.scratch: Path | None = self.path
        else:
            self.path = given.resolve()
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.scratch = None

    def clear(self) -> None:
        """Remove it, if it is temporary."""
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
