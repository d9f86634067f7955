"""The logarithmic histogram."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.results import Insufficient
from analytics.sketch import RELATIVE_ERROR, Sketch, cell_edges, cell_values, cells_of

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300).filter(
    lambda x: x == 0.0 or abs(x) > 1e-300
)
VALUES = st.lists(FINITE, min_size=1, max_size=50)


@given(values=VALUES)
def test_a_cell_stands_for_its_values_within_one_percent(values: list[float]) -> None:
    near = cell_values(cells_of(values))
    assert (np.abs(near - values) <= RELATIVE_ERROR * (1 + 1e-9) * np.abs(values)).all()
    low, high = cell_edges(cells_of(values))
    slack = 1e-9 * np.abs(values)
    assert ((low - slack <= values) & (values <= high + slack)).all()


@given(values=VALUES)
def test_cells_are_in_the_order_of_values(values: list[float]) -> None:
    assert (np.diff(cells_of(sorted(values))) >= 0).all()


@given(values=VALUES)
def test_negative_values_mirror_positive_ones(values: list[float]) -> None:
    np.testing.assert_array_equal(cells_of(values), -cells_of([-x for x in values]))


@given(values=VALUES, level=st.floats(0, 1))
def test_quantiles_are_within_one_percent(values: list[float], level: float) -> None:
    exact = np.quantile(values, level, method="lower")
    found = Sketch.of(values).quantile(level)
    assert isinstance(found, float)
    assert abs(found - exact) <= RELATIVE_ERROR * (1 + 1e-9) * abs(exact)


@given(one=VALUES, other=VALUES)
def test_sketches_merge(one: list[float], other: list[float]) -> None:
    merged, together = Sketch.of(one) + Sketch.of(other), Sketch.of(one + other)
    np.testing.assert_array_equal(merged.cells, together.cells)
    np.testing.assert_array_equal(merged.counts, together.counts)
    assert merged.n == len(one) + len(other)


def test_rows_are_gathered() -> None:
    sketch = Sketch.from_rows([5, -3, 5, 0], [1, 2, 3, 0])
    assert (sketch.cells.tolist(), sketch.counts.tolist()) == ([-3, 5], [2, 4])


def test_zero_is_kept_exactly() -> None:
    assert Sketch.of([0.0, 0.0, 5.0]).quantile(0.5) == 0.0


def test_nothing_has_no_quantiles() -> None:
    assert isinstance(Sketch.of([]).quantile(0.5), Insufficient)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        cells_of([float("nan")])
    with pytest.raises(ValueError, match="negative"):
        Sketch.from_rows([1], [-1])
    with pytest.raises(ValueError, match="level"):
        Sketch.of([1.0]).quantile(1.5)
