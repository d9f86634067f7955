"""Retries stay a share of the traffic, whatever happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.retry_budget import WINDOW_SECONDS, RetryBudget, RetryBudgets
from services.gateway.window import Window

gaps = st.lists(st.floats(0.0, 3.0), max_size=300)


@given(gaps, st.floats(0.0, 1.0), st.floats(0.0, 3.0))
def test_even_when_everything_fails_the_share_holds(gaps: list[float], share: float, minimum: float) -> None:
    budget, now = RetryBudget(share, minimum), 0.0
    retries: list[float] = []
    requests: list[float] = []
    for gap in gaps:
        now += gap
        requests.append(now)
        budget.request(now)
        while budget.spend(now):
            retries.append(now)
        if retries and retries[-1] == now:
            # Only then: requests may leave the window before the retries that they paid for.
            recent = [at for at in retries if at > now - 0.9 * WINDOW_SECONDS]
            asked = [at for at in requests if at > now - WINDOW_SECONDS - 1e-6]
            assert len(recent) <= max(share * len(asked), minimum * WINDOW_SECONDS) + 1e-9
    assert (budget.spent, budget.refused) == (len(retries), len(requests))


def test_a_small_rate_is_allowed_without_traffic() -> None:
    budget = RetryBudget(0.2, 3.0)
    budget.request(0.0)
    assert [budget.spend(0.0) for _ in range(31)] == [True] * 30 + [False]
    assert not budget.spend(8.9)
    assert budget.spend(10.0)


def test_variants_have_budgets_of_their_own() -> None:
    budgets = RetryBudgets(0.0, 0.1)
    assert budgets.of("r", "treatment").spend(0.0)
    assert not budgets.of("r", "treatment").spend(0.0)
    assert budgets.of("r", "control").spend(0.0)
    assert budgets.of("other", "treatment").spend(0.0)


@given(st.lists(st.tuples(st.floats(0.0, 4.0), st.booleans()), max_size=200))
def test_the_window_holds_what_is_recent_and_only_that(events: list[tuple[float, bool]]) -> None:
    window, now = Window(10.0), 100.0
    seen: list[tuple[int, bool]] = []
    for gap, marked in events:
        now += gap
        (window.mark if marked else window.add)(now)
        seen.append((int(now), marked))
        recent = [one for bucket, one in seen if bucket > int(now) - 10]
        assert (window.total, window.marked) == (recent.count(False), recent.count(True))
