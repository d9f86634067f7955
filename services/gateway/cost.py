"""What a request cost, in billionths of a dollar: whole numbers, so that sums are exact."""

from __future__ import annotations

from functools import lru_cache

from services.domain.configuration import Prices
from services.domain.events import LARGEST_AMOUNT

_TOKENS = 1_000_000
"""How many tokens a price is for."""


@lru_cache(maxsize=1024)
def _nanos(prices: Prices) -> tuple[int, int, int]:
    """Return the prices of a million tokens in, in from the cache, and out, in billionths of a dollar."""
    cached = prices.cached_input_per_million
    paid = (
        prices.input_per_million,
        prices.input_per_million if cached is None else cached,
        prices.output_per_million,
    )
    per_input, per_cached, per_output = (round(price * 1e9) for price in paid)
    return per_input, per_cached, per_output


def cost_nanos(
    prices: Prices | None,
    prompt_tokens: int | None,
    completion_tokens: int | None,
    cached_tokens: int | None = None,
) -> int | None:
    """Return the cost, half a billionth rounded up; None where there are no prices or no usage.

    ``cached_tokens`` are a part of ``prompt_tokens`` and have a price of their own. Embeddings have no
    completion, and it costs nothing.
    """
    if prices is None or (prompt_tokens is None and completion_tokens is None):
        return None
    per_input, per_cached, per_output = _nanos(prices)
    prompt = prompt_tokens or 0
    cached = min(cached_tokens or 0, prompt)
    total = (prompt - cached) * per_input + cached * per_cached + (completion_tokens or 0) * per_output
    return min((total + _TOKENS // 2) // _TOKENS, LARGEST_AMOUNT)
