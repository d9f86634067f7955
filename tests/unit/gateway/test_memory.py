"""How memory is managed is a matter of the whole process, so each test has one of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from services.gateway.memory import serve_only

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bodies = [b"x" * 1_000_000 for _ in range(20)]
    del bodies
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{prepare}
first = faults()
print(first, max(faults() for _ in range(5)))
"""
CYCLES = """
import gc
from services.gateway.memory import YOUNG_OBJECTS, serve_only

serve_only()
assert gc.isenabled()
assert gc.get_freeze_count() > 1000
assert gc.get_threshold()[0] == YOUNG_OBJECTS
"""


def output_of(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout  # noqa: S603


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library manages memory its own way")
def test_memory_of_bodies_is_kept_for_the_next_ones() -> None:
    first, later = map(int, output_of(FAULTS.format(prepare="serve_only()")).split())
    assert first > 4000
    assert later < first / 20


def test_cycles_are_searched_for_rarely_and_not_among_what_stays() -> None:
    output_of(CYCLES)
