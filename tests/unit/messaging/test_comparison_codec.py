"""The bytes on comparisons.v1."""

import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import COMPARISON_SCHEMA, Comparison, Likeness, ShadowCoverage, Side
from services.domain.status import OutcomeStatus
from services.messaging.comparison_codec import decode_comparisons, encode_comparison, encode_comparisons

GATEWAY = uuid.uuid4()
AMOUNTS = st.integers(0, 1 << 48)
MAYBE = st.none() | AMOUNTS
SIDES = st.builds(
    Side, st.text(), st.sampled_from(OutcomeStatus), AMOUNTS, AMOUNTS, MAYBE, MAYBE, MAYBE, MAYBE
)
LIKENESS = st.builds(Likeness, st.booleans(), st.booleans(), st.floats(0, 1), st.none() | st.booleans())
COMPARISONS = st.builds(
    Comparison,
    st.uuids(),
    st.uuids(),
    st.integers(1, 9),
    st.text(),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 1 << 53),
    st.booleans(),
    SIDES,
    SIDES,
    st.none() | LIKENESS,
    st.none() | st.tuples(st.text(), st.text()),
    st.integers(0, 90),
)
COVERAGE = st.builds(
    ShadowCoverage,
    st.uuids(),
    st.integers(1, 9),
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    st.dictionaries(st.text(), AMOUNTS),
    AMOUNTS,
)


@given(st.lists(COMPARISONS, max_size=3), st.lists(COVERAGE, max_size=2))
def test_what_is_sent_is_what_is_read(found: list[Comparison], counts: list[ShadowCoverage]) -> None:
    encoded = [encode_comparison(one) for one in found], [encode_comparison(one) for one in counts]
    decoded = decode_comparisons(encode_comparisons(GATEWAY, *encoded))
    assert (decoded.gateway, list(decoded.unreadable)) == (GATEWAY, [])
    assert (decoded.comparisons, decoded.coverage) == (found, counts)


SIDE: list[Any] = ["v", 0, 200, 5]
GOOD: list[Any] = [uuid.uuid4().bytes, uuid.uuid4().bytes, 1, "chat", 5, 0, False, SIDE, SIDE]


@pytest.mark.parametrize(
    ("place", "value"),
    [(4, -1), (5, 1 << 60), (7, ["v", 99, 200, 5]), (8, ["v", 0, 200, -1]), (9, [False, False, 1.5])],
)
def test_numbers_that_cannot_be_are_not_read(place: int, value: Any) -> None:
    bad = [*GOOD, None]
    bad[place] = value
    record = [COMPARISON_SCHEMA, GATEWAY.bytes, [GOOD, bad], []]
    decoded = decode_comparisons(msgspec.msgpack.encode(record))
    assert len(decoded.comparisons) == 1
    assert [one.index for one in decoded.unreadable] == [1]
