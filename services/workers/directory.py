"""Where outcomes count in one partition, by number: what a flush asks of thousands of lines, as columns.

A flush touches nearly every line of a thousand experiments. Asking each line's object would wait for memory
for each; here it is looked up in arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.domain.bucket_table import Integers
from services.storage.exposures import ExposedTo
from services.workers.kinds import Kinds
from services.workers.lines import Group, Line
from services.workers.numbering import ranges

_GROUP = np.dtype([("row", np.int64), ("start", np.int64), ("size", np.int64), ("is_late", np.bool_)])
_LINE = np.dtype(
    [
        ("row", np.int64),
        ("twice", np.int64),
        ("place", np.int64),
        ("serial", np.int64),
        ("ledger", np.uint32),
        ("request_bit", np.uint32),
    ]
)


class Directory:
    """Groups and lines by number. Nothing is taken out: what is outdated makes room for a new directory.

    Attributes:
        groups, group_facts: by number of a group; its lines have the ``size`` numbers from ``start`` on.
        lines, line_facts: by number of a line; what is in several groups has a number in each. ``place`` and
            ``serial`` say where its bucket sums are kept (see ``Places``), and belong to those.
        exposed_to: by number of a line, what its units are exposed to.
    """

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.group_facts = np.zeros(64, _GROUP)
        self.lines: list[Line] = []
        self.exposed_to: list[ExposedTo] = []
        self.line_facts = np.zeros(64, _LINE)
        self._kinds: Kinds | None = None
        self._of_kind = np.empty(0, np.int64)

    def find(self, kinds: Kinds, numbers: Integers) -> Integers:
        """Return the groups of kinds, -1 where there is none yet."""
        if kinds is not self._kinds:
            self._kinds, self._of_kind = kinds, np.empty(0, np.int64)
        lacking = len(kinds.known) - len(self._of_kind)
        if lacking > 0:
            more = np.full(lacking + len(self._of_kind), -1, np.int64)
            self._of_kind = np.concatenate([self._of_kind, more])
        return self._of_kind[numbers]

    def add(self, kind: int, group: Group) -> int:
        """Take in the group of a kind that was looked for; return its number."""
        number = self._of_kind[kind] = len(self.groups)
        self.groups.append(group)
        self.group_facts = _with_room(self.group_facts, len(self.groups))
        self.group_facts[number] = (group.row.number, len(self.lines), len(group.lines), bool(group.late))
        for line in group.lines:
            self.lines.append(line)
            self.exposed_to.append(line.exposed_to(group.variant_key))
            self.line_facts = _with_room(self.line_facts, len(self.lines))
            facts = (line.row.number, line.twice, 0, 0, line.ledger.number, line.request_bit)
            self.line_facts[len(self.lines) - 1] = facts
        return int(number)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Groups of one directory that something counts in, in one minute, and all their lines, by number."""

    directory: Directory
    partition: int
    owner: int
    tick: int
    groups: Integers
    lines: Integers

    @classmethod
    def of(cls, directory: Directory, partition: int, owner: int, tick: int, groups: Integers) -> Part:
        """From groups; ``owner`` is the number of whose they are."""
        facts = directory.group_facts[groups]
        return cls(directory, partition, owner, tick, groups, ranges(facts["start"], facts["size"]))


def _with_room(facts: NDArray[Any], size: int) -> NDArray[Any]:
    return facts if size <= len(facts) else np.concatenate([facts, np.zeros_like(facts)])
