"""Latencies of many places and partitions on their way into the sketches."""

from __future__ import annotations

from collections import Counter, defaultdict
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.quantiles import REPLICATES
from analytics.sketch import cells_of
from services.domain.assignment import ANALYSIS_BUCKETS
from services.storage.buckets import SumsKey
from services.workers import sketches
from services.workers.cells import CELL_BITS, REPLICATE_BITS
from services.workers.places import Place
from services.workers.sketches import Gathered

LAST = ANALYSIS_BUCKETS - 1
PLACES = [
    Place(SumsKey(partition, UUID(int=0), 1, 0, ""), (), 1, number)
    for number, partition in enumerate([0, LAST, 1, 0, LAST, 1, 1])
]
VALUE = st.tuples(
    st.integers(0, len(PLACES) - 1),
    st.integers(0, 1),
    st.integers(0, LAST),
    st.sampled_from([1, 500, 10**12]),
)
STEPS = st.lists(
    st.one_of(st.lists(VALUE, min_size=1, max_size=9), st.sets(st.sampled_from([0, 1, LAST]))), max_size=20
)


@given(STEPS, st.integers(0, 20))
def test_each_place_gets_what_was_noted_for_it_once(
    steps: list[list[tuple[int, int, int, int]] | set[int]], kept_raw: int
) -> None:
    gathered, noted = Gathered(), defaultdict[int, Counter[int]](Counter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "_KEPT_RAW", kept_raw)
        for step in [*steps, {0, 1, LAST}]:
            if isinstance(step, list):
                for number, source, bucket, value in step:
                    column = [np.array([one], np.int64) for one in (PLACES[number].rank, bucket, value)]
                    gathered.add(column[0], source, column[1], column[2])
                    prefix = source << REPLICATE_BITS | bucket % REPLICATES
                    noted[number][prefix << CELL_BITS | int(cells_of([value / 1e6])[0])] += 1
                continue
            wanted = [place for place in PLACES if place.key.partition in step]
            for place, (keys, counts) in zip(wanted, gathered.hand_over(step, wanted), strict=True):
                assert keys.tolist() == sorted(noted[place.number])
                assert dict(zip(keys.tolist(), counts.tolist(), strict=True)) == noted.pop(place.number)
    assert not any(noted.values())
