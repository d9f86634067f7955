"""What a request cost, in billionths of a dollar: whole numbers, so that sums are exact."""

from __future__ import annotations

from functools import lru_cache

from services.domain.configuration import Prices

_TOKENS = 1_000_000
"""How many tokens a price is for."""


@lru_cache(maxsize=1024)
def _nanos(prices: Prices) -> tuple[int, int]:
    """Return the prices of a million tokens in and out, in billionths of a dollar."""
    return round(prices.input_per_million * 1e9), round(prices.output_per_million * 1e9)


def cost_nanos(prices: Prices | None, prompt_tokens: int | None, completion_tokens: int | None) -> int | None:
    """Return the cost, half a billionth rounded up; None where there are no prices or no usage.

    Embeddings have no completion, and it costs nothing.
    """
    if prices is None or (prompt_tokens is None and completion_tokens is None):
        return None
    per_input, per_output = _nanos(prices)
    total = (prompt_tokens or 0) * per_input + (completion_tokens or 0) * per_output
    return (total + _TOKENS // 2) // _TOKENS
