"""What the evaluations of one experiment remember of closed minutes, so that its age costs nothing.

A memory is never evidence: with it and without it an evaluation comes to the same, to the bit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from analytics.eprocess import PathMemory

Test = str | tuple[str, int]


@dataclass(slots=True)
class Memory:
    """A memory for each test of an experiment that runs over its minutes."""

    _paths: defaultdict[Test, PathMemory] = field(default_factory=lambda: defaultdict(PathMemory))

    def of(self, test: Test) -> PathMemory:
        """Return the memory of a test, by its metric, and its treatment where there may be several."""
        return self._paths[test]
