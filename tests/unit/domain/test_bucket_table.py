"""Sums by analysis bucket: stored short, read back the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.domain.assignment import ANALYSIS_BUCKETS
from services.domain.bucket_table import BucketTable, pack_integers, unpack_integers
from services.domain.sketches import SourceSketches
from tests.unit.domain.sums import two


@given(arrays(np.int64, st.integers(0, 40)))
def test_numbers_of_any_size_are_read_back(numbers: np.ndarray) -> None:  # type: ignore[type-arg]
    assert unpack_integers(pack_integers(numbers)).tolist() == numbers.tolist()


def test_sums_are_read_back_through_json_and_are_short() -> None:
    table = two(units=2_000)[0].table()
    text = json.dumps(table.pack())
    again = BucketTable.unpack(json.loads(text))
    assert again.columns == table.columns
    assert (again.sums == table.sums).all()
    assert len(text) < table.sums.nbytes / 3


def test_sketches_are_read_back_through_json() -> None:
    sketches = two(units=300)[0].sketches()
    again = SourceSketches.unpack(json.loads(json.dumps(sketches.pack())))
    before, after = sketches.by_source["latency"], again.by_source["latency"]
    assert before.cells.tolist() == after.cells.tolist()
    assert before.counts.tolist() == after.counts.tolist()


def test_columns_are_found_by_name_whatever_is_left_out() -> None:
    table = two(units=100)[0].table()
    kept = table.only(("cost", "no such column", "error"))
    assert kept.columns == ("cost", "error")
    assert (kept.total("cost") == table.total("cost")).all()
    assert (kept.n("error") == table.n("error")).all()


def test_sums_of_the_same_columns_add_up() -> None:
    one, other = (variant.table() for variant in two(units=100))
    assert ((one + other).sums == one.sums + other.sums).all()
    with pytest.raises(ValueError, match="same columns"):
        _ = one + other.only(("cost",))


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        BucketTable(("cost",), np.zeros((1, 2, ANALYSIS_BUCKETS - 1), np.int64))
