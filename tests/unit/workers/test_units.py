"""What a table decides about many events at once is what one look at each, in order, would."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.bucket_table import Integers
from services.workers import units
from services.workers.units import Hashes, Numbers, UnitTable

# Few units and ledgers, so that the same ones come again; many events of each.
events = st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(0, 15))
batches = st.lists(st.lists(events, max_size=30), max_size=5)


class Model:
    """One event after the other."""

    def __init__(self) -> None:
        self.known: defaultdict[tuple[int, int], int] = defaultdict(int)

    def note(self, ledger: int, unit: int, noted: int) -> tuple[int, int]:
        before = self.known[ledger, unit]
        self.known[ledger, unit] |= noted
        return noted & ~before, before


def note(table: UnitTable, batch: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    ledgers, hashes, noted = np.array(batch, np.uint64).reshape(-1, 3).T
    new, before = table.note(ledgers.astype(np.uint32), hashes, noted.astype(np.uint32))
    return list(zip(new.tolist(), before.tolist(), strict=True))


def check(table: UnitTable, model: Model, batch: list[tuple[int, int, int]]) -> None:
    expected = [model.note(*one) for one in batch]
    for (new, before), (new_expected, before_expected) in zip(note(table, batch), expected, strict=True):
        assert new == new_expected
        # What was known before matters where something is new.
        assert not new or before == before_expected


@given(batches)
def test_events_are_first_by_their_place_in_the_log(given_batches: list[list[tuple[int, int, int]]]) -> None:
    table, model = UnitTable(), Model()
    for batch in given_batches:
        check(table, model, batch)
    assert len(table) == len(model.known)


@pytest.mark.parametrize("batch", [1, 7, 2_000])
def test_a_table_that_grows_knows_what_it_knew(batch: int) -> None:
    source = np.random.default_rng(batch)
    table, model = UnitTable(), Model()
    drawn = zip(
        source.integers(1, 5, 6_000).tolist(),
        source.integers(0, 2**64, 1_500, dtype=np.uint64)[source.integers(0, 1_500, 6_000)].tolist(),
        source.integers(0, 2**32, 6_000).tolist(),
        strict=True,
    )
    log = list(drawn)
    for start in range(0, len(log), batch):
        check(table, model, log[start : start + batch])
    assert len(table) == len(model.known) > units.SMALLEST


def test_units_that_get_in_each_other_s_way_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them begin to look at the same place, the last one: the search goes round the end."""

    def same_home(table: UnitTable, _: Numbers, hashes: Hashes) -> Integers:
        return np.full(len(hashes), len(table._entries) - 1, np.int64)

    monkeypatch.setattr(UnitTable, "_homes", same_home)
    table, model = UnitTable(), Model()
    for start in range(0, 600, 200):
        batch = [(1 + unit % 2, unit // 3, 1 << unit % 5) for unit in range(start, start + 300)]
        check(table, model, batch)
    assert len(table) == len(model.known)


def test_forgetting_a_ledger_leaves_the_others() -> None:
    table = UnitTable()
    note(table, [(ledger, unit, 1) for ledger in (1, 2, 3) for unit in range(1_000)])
    table.forget(np.array([2], np.uint32))
    assert len(table) == 2_000
    assert note(table, [(1, 7, 3), (2, 7, 1), (3, 7, 1)])[:2] == [(2, 1), (1, 0)]
