"""How fresh counts are, by the ends of logs that they have reached."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.workers.log_ends import MOST_REMEMBERED, LogEnd, LogEnds


def test_counts_that_never_reach_the_newest_end_are_as_fresh_as_the_last_one_they_did() -> None:
    """Ten records come while ten are written, for ever."""
    ends, fresh = LogEnds(), []
    for look in range(1_000):
        ends.note(0, LogEnd(10 * (look + 1), float(look)))
        fresh.append(ends.reached(0, 10 * look))
    assert fresh == [None, *map(float, range(999))]


def test_an_end_that_stays_is_as_fresh_as_it_was_last_seen() -> None:
    ends = LogEnds()
    for moment in (1.0, 2.0, 3.0):
        ends.note(0, LogEnd(7, moment))
    assert ends.reached(1, 7) is None
    assert ends.reached(0, 6) is None
    assert ends.reached(0, 7) == 3.0
    assert ends.reached(0, 7) is None


def test_after_a_claim_nothing_is_known() -> None:
    ends = LogEnds()
    ends.note(0, LogEnd(7, 1.0))
    ends.forget()
    assert ends.reached(0, 100) is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=3 * MOST_REMEMBERED),
)
def test_it_never_says_fresher_than_it_is(steps: list[tuple[int, int]]) -> None:
    """However far counting lags, what was the end at that moment is counted."""
    ends, end, counted = LogEnds(), 0, 0
    history: list[int] = []
    for moment, (more, done) in enumerate(steps):
        end += more
        history.append(end)
        ends.note(0, LogEnd(end, float(moment)))
        counted = min(counted + done, end)
        fresh = ends.reached(0, counted)
        if fresh is not None:
            assert history[int(fresh)] <= counted
        if counted == end:
            assert fresh == moment
