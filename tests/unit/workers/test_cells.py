"""Sketches in memory and as they are stored."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.metric import SKETCHED
from services.storage.buckets import Sketches, unpack_sketches
from services.storage.packed_numbers import PackedNumbers
from services.workers.cells import CELL_BITS, cells_of_row, packed, stacked

counts = st.one_of(st.integers(1, 127), st.integers(1, 2**31), st.integers(1, 2**62))
one_sketch = st.dictionaries(st.integers(0, (1 << CELL_BITS) - 1), counts, min_size=1, max_size=40).map(
    lambda found: (sorted(found), [found[cell] for cell in sorted(found)])
)
sketches = st.dictionaries(
    st.sampled_from(SKETCHED), st.dictionaries(st.integers(0, 31), one_sketch, min_size=1), max_size=2
)


@settings(max_examples=40)  # dozens of sketches each
@given(st.lists(sketches, min_size=1, max_size=5))
def test_what_is_stored_is_what_was_in_memory(rows: list[Sketches]) -> None:
    together = stacked([cells_of_row(row) for row in rows])
    assert list(map(unpack_sketches, packed(together, len(rows)))) == rows


def test_arrays_of_every_length_and_size_of_number_are_read_back() -> None:
    for largest in (0, 127, 128, 2**32 - 1, 2**32, 2**63 - 1):
        for length in (0, 1, 15, 16, 65_535, 65_536):
            numbers = np.linspace(0, 100, length + 2).astype(np.int64)
            numbers[-2] = largest
            array = PackedNumbers(numbers).array(1, length + 1)
            assert msgspec.msgpack.decode(array) == numbers[1:-1].tolist()
