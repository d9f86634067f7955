"""Lines of progress, kept off standard output, which belongs to results."""

import sys
from collections.abc import Callable

Say = Callable[[str], None]


def say_to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
