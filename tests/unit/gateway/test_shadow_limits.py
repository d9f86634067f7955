"""What one shadow may use."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.limits import SharedCounts
from services.gateway.shadow_limits import Slots, Spending

HOUR = 3600.0


def test_what_is_spent_is_forgotten_after_an_hour() -> None:
    spending = Spending()
    spending.add(60, now=10.0)
    spending.add(40, now=30.0)
    assert not spending.allows(149, 0, now=40.0)  # one more of about 50 would exceed it
    assert spending.allows(150, 0, now=40.0)
    assert not spending.allows(149, 0, now=HOUR - 1)
    assert spending.allows(50, 0, now=HOUR + 1)
    assert spending.total_nanos == 100


def test_what_is_under_way_counts_as_much_as_others_cost() -> None:
    spending = Spending()
    spending.add(100, now=0.0)
    assert spending.allows(400, 2, now=1.0)
    assert not spending.allows(400, 3, now=1.0)


def test_what_has_no_cost_counts_as_much_as_others() -> None:
    spending = Spending()
    spending.add(100, now=0.0)
    spending.add(None, now=1.0)
    assert not spending.allows(299, 0, now=2.0)
    assert spending.total_nanos == 100


def test_without_a_limit_anything_goes() -> None:
    spending = Spending()
    spending.add(1 << 60, now=0.0)
    assert spending.allows(None, 1_000, now=1.0)


@given(st.lists(st.tuples(st.integers(0, 1_000), st.floats(0, 7_000)), max_size=30), st.integers(0, 20_000))
def test_the_last_hour_never_exceeds_the_limit_by_more_than_one(
    asked: list[tuple[int, float]], limit: int
) -> None:
    spending, spent, now = Spending(), list[tuple[float, int]](), 0.0
    for cost, seconds in asked:
        now += seconds
        if spending.allows(limit, 0, now):
            spending.add(cost, now)
            spent.append((now, cost))
            # Minutes leave as a whole, so an hour is 59 minutes at least.
            lately = [one for at, one in spent if at > now - HOUR + 60]
            assert sum(lately[:-1]) <= limit


def test_processes_share_their_limits() -> None:
    counts = SharedCounts(2)
    one, other = (Slots(counts.cell(process, "slots")) for process in range(2))
    one.take()
    other.take()
    assert (one.total, one.taken) == (2, 1)
    assert not one.has_room(2)
    other.free()
    assert one.has_room(2)

    ours, theirs = (Spending(counts.cell(process, "spending")) for process in range(2))
    ours.add(70, now=0.0)
    theirs.add(70, now=0.0)
    assert not ours.allows(200, 0, now=1.0)
    assert ours.allows(210, 0, now=1.0)
    assert ours.total_nanos == 70
