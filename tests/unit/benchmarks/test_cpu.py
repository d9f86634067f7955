"""CPU of a process tree: nothing is lost or counted twice when a process of it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.gateway.cpu import Times, total, tree_rss, tree_seconds

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(time.process_time())"
TICK = 0.01
"""What the kernel counts in."""


def test_a_child_that_ends_moves_its_seconds_to_its_parent() -> None:
    before = [Times(own=2.0, buried=0.5), Times(own=3.0, buried=0.0)]
    after = [Times(own=2.1, buried=0.5 + 3.4)]
    assert total(after) - total(before) == pytest.approx(0.1 + 0.4)


def test_what_a_child_used_is_counted_after_its_end() -> None:
    before = tree_seconds(os.getpid())
    burnt = subprocess.run([sys.executable, "-c", BURN], capture_output=True, check=True)  # noqa: S603
    assert tree_seconds(os.getpid()) - before >= float(burnt.stdout) - 2 * TICK


def test_the_memory_of_living_children_counts() -> None:
    alone = tree_rss(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert tree_rss(os.getpid()) > alone
        child.communicate(b"\n")
