"""Outcomes are numbered without a gap, kept in order, and shed visibly."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.buffers import BATCH_BYTES, PartitionBuffer

actions = st.lists(st.sampled_from(["add", "shed", "take"]), max_size=200)


@given(actions)
def test_each_number_is_sent_once_or_was_shed(done: list[str]) -> None:
    numbers = array("Q", [0, 0])
    buffer = PartitionBuffer(1, numbers)
    kept: list[int] = []
    sent: list[int] = []
    for action in done + ["take"] * len(done):
        if action == "add":
            kept.append(buffer.next_sequence)
            buffer.add(str(buffer.next_sequence).encode())
        elif action == "shed":
            buffer.shed()
        elif buffer:
            batch = buffer.take()
            assert [int(outcome) for outcome in batch.outcomes] == list(
                range(batch.first_sequence, batch.next_sequence)
            )
            sent += range(batch.first_sequence, batch.next_sequence)
    assert sent == kept
    assert list(numbers) == [0, len([a for a in done if a != "take"])]


def test_batches_close_when_they_are_large_enough() -> None:
    buffer = PartitionBuffer(0, array("Q", [0]))
    half = bytes(BATCH_BYTES // 2)
    buffer.add(half)
    assert not buffer.full
    buffer.add(half)
    assert buffer.full
    buffer.add(half)
    assert [len(buffer.take().outcomes), len(buffer.take().outcomes)] == [2, 1]
    assert not buffer
