"""What requests cost."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.configuration import Prices
from services.domain.events import LARGEST_AMOUNT
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


@pytest.mark.parametrize(
    ("price", "cached", "cost"),
    [
        (0.075, 0, 1_650),
        (0.075, 4, 1_350),
        (0.075, 11, 825),
        (0.075, 400, 825),
        (0.0, 4, 1_050),
        (None, 4, 1_650),
        (0.075, None, 1_650),
    ],
)
def test_cached_tokens_have_a_price_of_their_own(price: float | None, cached: int | None, cost: int) -> None:
    prices = Prices(input_per_million=0.15, output_per_million=0.6, cached_input_per_million=price)
    assert cost_nanos(prices, 11, 0, cached) == cost


def test_no_cost_is_too_large_to_be_counted() -> None:
    dear = Prices(input_per_million=1e6, output_per_million=1e6)
    assert cost_nanos(dear, LARGEST_AMOUNT, LARGEST_AMOUNT) == LARGEST_AMOUNT


_TOKENS, _PRICES = st.integers(0, 10**6), st.integers(0, 10**6)


@given(_TOKENS, _TOKENS, _TOKENS, _PRICES, _PRICES, _PRICES)
def test_it_is_exact_to_half_a_billionth(
    prompt: int, cached: int, completion: int, price_in: int, price_cached: int, price_out: int
) -> None:
    """Prices in thousandths of a cent for a million tokens, so that what they should be is known exactly."""
    prices = Prices(
        input_per_million=price_in / 1e5,
        output_per_million=price_out / 1e5,
        cached_input_per_million=price_cached / 1e5,
    )
    found = cost_nanos(prices, prompt, completion, cached)
    cached = min(cached, prompt)
    paid = (prompt - cached) * price_in + cached * price_cached + completion * price_out
    exact = Fraction(paid, 10**5) * 1_000
    assert found is not None
    assert abs(found - exact) <= Fraction(1, 2)
