"""The sliding window: no 60 seconds hold more than the limit, and nearly all of it can be used."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.sliding_window import SLOT_SECONDS, SPAN, WINDOW_SECONDS, Slot, Window, slot_at

seconds = st.floats(0, 400, allow_nan=False)
arrivals = st.lists(seconds, max_size=300).map(sorted)


def admitted(times: list[float], limit: int) -> list[float]:
    window, found = Window(0), []
    for at in times:
        window.turn_to(slot_at(at))
        if window.requests < limit:
            window.take(1, 0)
            found.append(at)
    return found


@given(arrivals, st.integers(1, 20))
@settings(max_examples=200)
def test_in_any_minute_at_most_the_limit_is_admitted(times: list[float], limit: int) -> None:
    found = admitted(times, limit)
    for first in found:
        assert sum(first <= at < first + WINDOW_SECONDS for at in found) <= limit


@given(st.floats(0, 59.9), st.integers(2, 50))
def test_there_is_no_second_burst_at_an_edge(offset: float, limit: int) -> None:
    # All of a limit just before where a fixed window of a minute would end, and again just after it.
    bursts = [60 + offset - 0.001] * limit + [60 + offset + 0.001] * limit
    assert len(admitted(bursts, limit)) == limit


def test_nearly_all_of_the_limit_is_used_under_saturation() -> None:
    limit, rate, length = 600, 40, 600
    times = [number / rate for number in range(rate * length)]
    found = admitted(times, limit)
    assert len(found) >= 0.98 * limit * length / WINDOW_SECONDS


Change = tuple[str, int, int, int]
changes = st.lists(
    st.tuples(
        st.sampled_from(["turn", "take", "change", "heard", "put"]),
        st.integers(0, 300),
        st.integers(0, 5),
        st.integers(0, 1000),
    ),
    max_size=60,
)


@given(changes)
@settings(max_examples=300)
def test_the_sums_are_those_of_the_slots_in_the_window(script: list[Change]) -> None:
    window, own = Window(0), []
    for what, number, requests, tokens in script:
        if what == "turn":
            window.turn_to(window.number + number)
        elif what == "take":
            own.append(window.take(requests, tokens))
        elif what == "put":
            window.put(number, window.number - number, requests, tokens)
        elif own and what == "change":
            window.change(own[number % len(own)], 0, tokens - 500)
        elif own:
            slot = own[number % len(own)]
            window.heard(slot, slot.requests, slot.tokens)
        held = window.slots_from_oldest()
        assert [slot.number for slot in held] == sorted(slot.number for slot in held)
        assert all(slot.number >= window.number - SPAN for slot in held)
        for name in ("requests", "tokens", "heard_requests", "heard_tokens"):
            assert getattr(window, name) == sum(getattr(slot, name) for slot in held)


def test_what_is_settled_late_changes_nothing() -> None:
    window = Window(0)
    slot = window.take(1, 500)
    window.turn_to(SPAN + 1)
    assert (window.requests, window.tokens, window.empty) == (0, 0, True)
    window.change(slot, 0, -200)
    window.heard(slot, 1, 300)
    assert (window.tokens, window.heard_tokens) == (0, 0)


def test_a_slot_leaves_when_all_of_it_is_older_than_a_minute() -> None:
    window = Window(slot_at(10.0))
    window.take(1, 0)
    window.turn_to(slot_at(10.0 + WINDOW_SECONDS))
    assert window.requests == 1
    window.turn_to(slot_at(10.0 + WINDOW_SECONDS + SLOT_SECONDS))
    assert window.requests == 0


def test_repeats_of_what_others_tell_change_nothing() -> None:
    window = Window(100)
    for _ in range(3):
        window.put(7, 99, 4, 40)
    window.put(7, 99, 3, 30)
    window.put(8, 100, 1, 10)
    assert (window.requests, window.tokens, window.heard_requests) == (4, 40, 4)
    window.put(9, 100 - SPAN - 1, 5, 5)
    assert window.requests == 4


def test_time_does_not_go_back() -> None:
    window = Window(100)
    window.take(1, 0)
    window.turn_to(5)
    assert (window.number, window.requests) == (100, 1)
    assert isinstance(window.slots_from_oldest()[0], Slot)
