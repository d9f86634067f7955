"""The bytes on consumption.v1."""

from __future__ import annotations

from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.messaging.consumption_codec import (
    CONSUMPTION_SCHEMA,
    Beat,
    DayTotal,
    ScopeUse,
    day_key,
    decode_beat,
    decode_day_total,
    decode_pulse,
    encode_consumption,
)

numbers = st.integers(0, (1 << 63) - 1)
uses = st.builds(
    ScopeUse,
    st.integers(0, (1 << 64) - 1),
    st.lists(st.tuples(numbers, numbers, st.integers(-5, 10**12))),
    st.none() | numbers,
    st.none() | st.tuples(numbers, numbers, numbers),
)
beats = st.builds(
    Beat,
    st.just(CONSUMPTION_SCHEMA),
    st.uuids(),
    numbers,
    numbers,
    st.lists(uses),
    numbers,
    st.booleans(),
    st.booleans(),
)


@given(beats)
def test_a_beat_comes_back_as_it_was(beat: Beat) -> None:
    encoded = encode_consumption(beat)
    assert decode_beat(encoded) == beat
    pulse = decode_pulse(encoded)
    assert pulse is not None
    assert (pulse.replica, pulse.sequence, pulse.sent_ms) == (beat.replica, beat.sequence, beat.sent_ms)


@given(
    st.builds(
        DayTotal,
        st.just(CONSUMPTION_SCHEMA),
        st.uuids(),
        numbers,
        numbers,
        st.tuples(numbers, numbers, numbers),
    )
)
def test_a_total_comes_back_as_it_was(total: DayTotal) -> None:
    assert decode_day_total(encode_consumption(total)) == total


@given(st.binary(max_size=60))
def test_what_is_something_else_is_nothing(value: bytes) -> None:
    for decode in (decode_beat, decode_pulse, decode_day_total):
        found = decode(value)
        assert found is None or found.schema == CONSUMPTION_SCHEMA


def test_another_schema_is_passed_over() -> None:
    beat = Beat(CONSUMPTION_SCHEMA + 1, UUID(int=1), 1, 1, [])
    assert decode_beat(encode_consumption(beat)) is None
    assert decode_beat(None) is None


def test_a_field_that_a_newer_release_adds_is_passed_over() -> None:
    value = msgspec.msgpack.encode([CONSUMPTION_SCHEMA, UUID(int=1).bytes, 7, 9, [], 4, False, False, "new"])
    beat = decode_beat(value)
    assert beat is not None
    assert beat.sequence == 7


def test_each_total_has_a_key_of_its_own() -> None:
    keys = {
        day_key(UUID(int=replica), day, scope) for replica in (1, 2) for day in (3, 4) for scope in (5, 6)
    }
    assert len(keys) == 8
