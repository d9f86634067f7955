"""What requests cost."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import Prices
from services.gateway.cost import cost_nanos

PRICES = Prices(input_per_million=0.15, output_per_million=0.6)


@pytest.mark.parametrize(
    ("prompt", "completion", "cost"),
    [
        (1_000_000, 0, 150_000_000),
        (1, 0, 150),
        (0, 1, 600),
        (11, 7, 5_850),
        (0, 0, 0),
        (12, None, 1_800),
        (None, 5, 3_000),
        (None, None, None),
    ],
)
def test_cost(prompt: int | None, completion: int | None, cost: int | None) -> None:
    assert cost_nanos(PRICES, prompt, completion) == cost


def test_without_prices_there_is_no_cost() -> None:
    assert cost_nanos(None, 10, 10) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_it_is_exact_to_half_a_billionth(prompt: int, completion: int, price_in: int, price_out: int) -> None:
    """Prices in thousandths of a cent for a million tokens, so that what they should be is known exactly."""
    prices = Prices(input_per_million=price_in / 1e5, output_per_million=price_out / 1e5)
    found = cost_nanos(prices, prompt, completion)
    exact = Fraction(prompt * price_in + completion * price_out, 10**5) * 1_000
    assert found is not None
    assert abs(found - exact) <= Fraction(1, 2)
