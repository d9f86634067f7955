"""How clocks run beside the broker's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.domain.clock_offset import BUCKET_MS, ClockOffset


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 500), min_size=1, max_size=15))
def test_it_is_the_offset_and_the_shortest_way(skew: int, ways: list[int]) -> None:
    offset = ClockOffset()
    assert not offset.known
    for number, way in enumerate(ways):
        # The broker's log is in the order of its times.
        offset.note(500 * number, 500 * number + skew + way)
    assert offset.known
    assert offset.milliseconds == skew + min(ways)


def test_what_is_long_ago_is_forgotten() -> None:
    offset = ClockOffset()
    offset.note(0, 5)
    # The broker's clock was set.
    offset.note(BUCKET_MS, BUCKET_MS + 3_000)
    assert offset.milliseconds == 5
    offset.note(2 * BUCKET_MS, 2 * BUCKET_MS + 3_000)
    assert offset.milliseconds == 3_000


def test_a_record_that_waited_for_a_broker_does_not_count() -> None:
    offset = ClockOffset()
    offset.note(0, 1_000)
    offset.note(1, 9_001)
    assert offset.milliseconds == 1_000
