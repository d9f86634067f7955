"""What is new goes out in chunks, and comes back as it was."""

from hypothesis import given
from hypothesis import strategies as st

from services.workers.units import CHUNK_BYTES, HASH_BYTES, UnitSet

hashes = st.integers(min_value=0, max_value=2**64 - 1)


def stored(units: UnitSet, chunks: dict[int, bytes]) -> None:
    chunks.update(units.seal())


@given(st.lists(st.lists(hashes, max_size=600), max_size=6))
def test_a_set_that_was_stored_piece_by_piece_is_read_back(flushes: list[list[int]]) -> None:
    units, chunks = UnitSet(), dict[int, bytes]()
    for flush in flushes:
        for unit in flush:
            units.add(unit)
        stored(units, chunks)
    again = UnitSet()
    for number in sorted(chunks):
        again.load(number, chunks[number])
    everything = {unit for flush in flushes for unit in flush}
    assert len(again) == len(everything)
    assert not any(again.add(unit) for unit in everything)
    assert again.seal() == []


def test_only_the_last_chunk_is_written_again() -> None:
    units, chunks = UnitSet(), dict[int, bytes]()
    per_chunk = CHUNK_BYTES // HASH_BYTES
    for unit in range(per_chunk + 1):
        units.add(unit)
    stored(units, chunks)
    units.add(per_chunk + 1)
    assert [number for number, _ in units.seal()] == [1]
    assert [len(packed) for packed in chunks.values()] == [CHUNK_BYTES, HASH_BYTES]


def test_a_set_that_was_read_back_goes_on_where_it_ended() -> None:
    units, chunks = UnitSet(), dict[int, bytes]()
    units.add(1)
    stored(units, chunks)
    again = UnitSet()
    again.load(0, chunks[0])
    again.add(2)
    assert again.seal() == [(0, (1).to_bytes(8, "little") + (2).to_bytes(8, "little"))]
