"""How memory is managed is a matter of the whole process, so each test has one of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from services.cli.process_memory import COUNTING, SERVING, set_up_memory

def bodies() -> None:
    kept = [b"x" * 1_000_000 for _ in range(20)]
    del kept

def arrays() -> None:
    kept = [np.ones(60_000) for _ in range(10)]
    del kept

def faults(work) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{prepare}
first = faults({work})
print(first, max(faults({work}) for _ in range(5)))
"""
CYCLES = """
import gc
from services.cli.process_memory import {habits}, set_up_memory

set_up_memory({habits})
assert gc.isenabled()
assert gc.get_freeze_count() > 1000
print(gc.get_threshold()[0])
"""


def output_of(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout  # noqa: S603


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library manages memory its own way")
@pytest.mark.parametrize(("habits", "work"), [("SERVING", "bodies"), ("COUNTING", "arrays")])
def test_memory_is_kept_for_what_comes_next(habits: str, work: str) -> None:
    """Without it each piece is cleared anew, page by page."""
    _, default = map(int, output_of(FAULTS.format(prepare="", work=work)).split())
    first, later = map(int, output_of(FAULTS.format(prepare=f"set_up_memory({habits})", work=work)).split())
    assert default > 1000
    assert first > 1000
    assert later < first / 20


@pytest.mark.parametrize(("habits", "young_objects"), [("SERVING", 20_000), ("COUNTING", 200_000)])
def test_cycles_are_searched_for_rarely_and_not_among_what_stays(habits: str, young_objects: int) -> None:
    assert int(output_of(CYCLES.format(habits=habits))) == young_objects
