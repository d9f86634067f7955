"""What is new goes out in chunks, and comes back as it was."""

from collections import defaultdict
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.storage.claims import UnitChunk, UnitEvent
from services.storage.unit_pieces import HASH_BYTES
from services.workers.ledgers import (
    CONTENT_FILTER,
    ERROR,
    FEEDBACK,
    UNITS_A_CHUNK,
    Ledgers,
    request_bit,
    request_event,
)
from services.workers.unit_ledgers import newest

PARTITION = 3
KEYS = [(UUID(int=1), 1), (UUID(int=1), 2), (UUID(int=2), 1)]
BITS = {"error": ERROR, "content_filter": CONTENT_FILTER} | {
    request_event(variant): request_bit(variant) for variant in (0, 1, 29)
}
hashes = st.integers(min_value=0, max_value=2**64 - 1)
noted = st.tuples(st.sampled_from(KEYS), hashes | st.integers(0, 5), st.sets(st.sampled_from([*BITS])))
Noted = tuple[tuple[UUID, int], int, set[UnitEvent]]
Chunks = dict[tuple[UUID, int, UnitEvent, int], bytes]


def note(ledgers: Ledgers, batch: list[Noted]) -> list[set[UnitEvent]]:
    """Return which events are new."""
    numbers = np.array([ledgers.of(key).number for key, _, _ in batch], np.uint32)
    units = np.array([unit for _, unit, _ in batch], np.uint64)
    events = np.array([sum(BITS[event] for event in events) for _, _, events in batch], np.uint32)
    new, _ = ledgers.note(numbers, units, events)
    return [{event for event, bit in BITS.items() if bit & one} for one in new.tolist()]


def store(ledgers: Ledgers, chunks: Chunks) -> None:
    """Write what is new, as Postgres does."""
    for one in ledgers.take_new()[0]:
        key = (one.experiment_id, one.phase, one.event, one.chunk)
        chunks[key] = chunks.get(key, b"") + one.units


def read_back(chunks: Chunks, sizes: dict[tuple[UUID, int], dict[UnitEvent, int]] | None = None) -> Ledgers:
    ledgers = Ledgers(PARTITION)
    for (experiment_id, phase, event, number), packed in sorted(chunks.items()):
        size = None if sizes is None else sizes.get((experiment_id, phase), {}).get(event, 0)
        ledgers.load(UnitChunk(PARTITION, experiment_id, phase, event, number, packed), size)
    return ledgers


@given(st.lists(st.lists(noted, max_size=40), max_size=6))
def test_what_was_stored_piece_by_piece_is_read_back_in_order(flushes: list[list[Noted]]) -> None:
    ledgers, chunks = Ledgers(PARTITION), Chunks()
    order: defaultdict[tuple[UUID, int, UnitEvent], list[int]] = defaultdict(list)
    for batch in flushes:
        for (key, unit, _), new in zip(batch, note(ledgers, batch), strict=True):
            for event in new:
                order[*key, event].append(unit)
        store(ledgers, chunks)
    for (experiment_id, phase, event), units in order.items():
        assert len(units) == len(set(units))
        packed = chunks[experiment_id, phase, event, 0]
        assert np.frombuffer(packed, "<u8").tolist() == units[:UNITS_A_CHUNK]
    again = read_back(chunks)
    assert not any(new for batch in flushes for new in note(again, batch))
    pieces, grown = again.take_new()
    assert (list(pieces), newest([grown])) == ([], {})


def test_a_chunk_grows_until_it_is_full() -> None:
    ledgers, chunks = Ledgers(PARTITION), Chunks()
    key = KEYS[0]
    for start, size in ((0, UNITS_A_CHUNK - 1), (1_000, 1), (2_000, 1), (3_000, 2 * UNITS_A_CHUNK)):
        note(ledgers, [(key, unit, {"request"}) for unit in range(start, start + size)])
        store(ledgers, chunks)
    lengths = [len(chunks[*key, "request", number]) // HASH_BYTES for number in range(len(chunks))]
    assert lengths == [UNITS_A_CHUNK, UNITS_A_CHUNK, UNITS_A_CHUNK, 1]
    again = read_back(chunks)
    note(again, [(key, 9_999, {"request"})])
    store(again, chunks)
    assert len(chunks[*key, "request", 3]) == 2 * HASH_BYTES


def test_as_many_units_are_read_back_as_were_known_at_a_place() -> None:
    ledgers, chunks = Ledgers(PARTITION), Chunks()
    key = KEYS[0]
    note(ledgers, [(key, unit, {"request"}) for unit in range(300)])
    store(ledgers, chunks)
    for size in (0, 1, UNITS_A_CHUNK, 299):
        again = read_back(chunks, {key: {"request": size}})
        new = note(again, [(key, unit, {"request"}) for unit in range(300)])
        assert [bool(one) for one in new] == [False] * size + [True] * (300 - size)


def test_reports_are_known_by_their_hash_and_stored_like_units() -> None:
    ledgers, chunks = Ledgers(PARTITION), Chunks()
    ledger = ledgers.of(KEYS[0])
    assert [ledgers.report(ledger, FEEDBACK, hashed) for hashed in (5, 6, 5)] == [True, True, False]
    _, grown = ledgers.take_new()
    assert newest([grown]) == {ledger.key: {FEEDBACK: 2}}
    ledgers.report(ledger, FEEDBACK, 7)
    store(ledgers, chunks)
    assert list(chunks.values()) == [(7).to_bytes(8, "little")]
    chunks[*KEYS[0], FEEDBACK, 0] = b"".join(one.to_bytes(8, "little") for one in (5, 6, 7))
    again = read_back(chunks)
    assert not any(again.report(again.of(KEYS[0]), FEEDBACK, hashed) for hashed in (5, 6, 7))


def test_what_is_forgotten_is_new_again() -> None:
    ledgers = Ledgers(PARTITION)
    batch: list[Noted] = [(key, 7, {"request"}) for key in KEYS]
    note(ledgers, batch)
    ledgers.take_new()
    ledgers.forget(KEYS[:1])
    assert [bool(new) for new in note(ledgers, batch)] == [True, False, False]


def test_the_last_word_on_a_ledger_s_size_counts() -> None:
    ledgers, said = Ledgers(PARTITION), []
    for batch in ([(KEYS[0], 1, {"request"}), (KEYS[1], 1, {"error"})], [(KEYS[0], 2, {"request", "error"})]):
        note(ledgers, batch)
        said.append(ledgers.take_new()[1])
    assert newest(said) == {KEYS[0]: {"request": 2, "error": 1}, KEYS[1]: {"error": 1}}
    later = Ledgers(PARTITION)
    note(later, [(KEYS[1], unit, {"request"}) for unit in range(3)])
    assert newest([*said, later.take_new()[1]])[KEYS[1]] == {"request": 3}
    ledgers.forget(KEYS[:1])
    assert newest(said) == {KEYS[1]: {"error": 1}}
