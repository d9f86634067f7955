"""CPU time and memory of a process with all its descendants, dead ones included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import psutil

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Times:
    """CPU seconds of one process: its own, and those of the children it has buried.

    A child that ends between two looks moves its seconds from the first kind to the second, in its parent; so
    the sum over a tree never loses or counts twice what was spent.
    """

    own: float
    buried: float


def total(tree: Iterable[Times]) -> float:
    """Return the CPU seconds of a tree."""
    return sum(one.own + one.buried for one in tree)


def tree_seconds(pid: int) -> float:
    """Return the CPU seconds that the process and its descendants have used so far.

    The kernel counts in hundredths of a second.
    """
    return total(_of_each(pid, _times))


def tree_rss(pid: int) -> int:
    """Return the resident bytes of the process and its living descendants."""
    return sum(_of_each(pid, lambda process: int(process.memory_info().rss)))


def _times(process: psutil.Process) -> Times:
    times = process.cpu_times()
    return Times(times.user + times.system, times.children_user + times.children_system)


def _of_each(pid: int, look: Callable[[psutil.Process], _T]) -> Iterator[_T]:
    root = psutil.Process(pid)
    yield look(root)
    for child in root.children(recursive=True):
        try:
            yield look(child)
        except psutil.NoSuchProcess:  # it ended just now: its parent has its seconds
            continue
