"""Sharing a remainder: parts add up, quick admissions leave room for what is not heard, apart is exact."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.escrow import Standing, Verdict

amounts = st.integers(0, 10_000)
replicas = st.integers(1, 12)


@given(amounts, replicas)
def test_the_parts_add_up(amount: int, count: int) -> None:
    parts = [Standing(count, rank, together=False).part_of(amount) for rank in range(count)]
    assert sum(parts) == amount
    assert max(parts) - min(parts) <= 1


@given(amounts, amounts, st.integers(1, 100), replicas)
def test_apart_all_together_use_what_remained(limit: int, heard: int, cost: int, count: int) -> None:
    total = heard
    for rank in range(count):
        standing, used = Standing(count, rank, together=False), heard
        while standing.judge(used, heard, cost, limit) is Verdict.ADMIT:
            used += cost
        total += used - heard
    assert total <= max(limit, heard)
    assert cost > 1 or total == max(limit, heard)


@given(amounts, amounts, st.integers(1, 100), st.integers(2, 12))
def test_what_all_admit_at_once_is_half_of_the_remainder(
    limit: int, heard: int, cost: int, count: int
) -> None:
    standing, used = Standing(count), heard
    while standing.judge(used, heard, cost, limit) is Verdict.ADMIT:
        used += cost
    assert count * (used - heard) * 2 <= max(limit - heard, 0)


@given(amounts, amounts, st.integers(1, 100), st.integers(2, 12))
def test_what_fits_is_at_least_claimed(limit: int, used: int, cost: int, count: int) -> None:
    verdict = Standing(count).judge(used, used, cost, limit)
    assert (verdict is Verdict.REFUSE) == (used + cost > limit)


@given(amounts, amounts, st.integers(1, 100))
def test_alone_everything_that_fits_is_admitted(limit: int, used: int, cost: int) -> None:
    verdict = Standing(1).judge(used, 0, cost, limit)
    assert verdict is (Verdict.ADMIT if used + cost <= limit else Verdict.REFUSE)


@given(amounts, amounts, amounts, replicas, st.booleans())
def test_the_allowance_is_what_can_be_used(
    limit: int, heard: int, more: int, count: int, together: bool
) -> None:
    standing, used = Standing(count, together=together), heard + more
    left = standing.allowance(used, heard, limit)
    assert left >= 0
    if left:
        assert standing.judge(used, heard, left, limit) is not Verdict.REFUSE
    assert standing.judge(used, heard, left + 1, limit) is Verdict.REFUSE
