"""Where a claimed partition goes on."""

import pytest

from services.storage.claims import Progress
from services.workers.positions import Fingerprint, LogRange, find_move, fingerprint, last_counted_offset

LAST = Fingerprint(1_000, 42)


def progress(next_offset: int, last: Fingerprint | None = LAST) -> Progress:
    return Progress(
        partition=3,
        epoch=7,
        next_offset=next_offset,
        tick=0,
        last_timestamp_ms=last.timestamp_ms if last else None,
        last_crc=last.crc if last else None,
        incarnation=1,
    )


@pytest.mark.parametrize(
    ("counted", "log", "offset"),
    [
        (progress(10), LogRange(0, 20), 9),
        (progress(10), LogRange(0, 10), 9),
        (progress(10), LogRange(9, 20), 9),
        (progress(10), LogRange(10, 20), None),
        (progress(10), LogRange(0, 5), None),
        (progress(0, None), LogRange(0, 20), None),
        (progress(10, None), LogRange(0, 20), None),
    ],
)
def test_the_last_counted_record_is_looked_up_where_it_is(
    counted: Progress, log: LogRange, offset: int | None
) -> None:
    assert last_counted_offset(counted, log) == offset


def test_a_log_that_goes_on_needs_no_move() -> None:
    assert find_move(progress(10), LogRange(0, 20), LAST) is None
    assert find_move(progress(10), LogRange(0, 10), LAST) is None
    assert find_move(progress(10), LogRange(10, 20), None) is None
    assert find_move(progress(0, None), LogRange(0, 0), None) is None


def test_what_retention_removed_is_lost() -> None:
    found = find_move(progress(10), LogRange(15, 20), None)
    assert found is not None
    move, why = found
    assert (move.next_offset, move.records_lost, move.opens_incarnation) == (15, 5, False)
    assert "5 records" in why


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (LogRange(0, 5), None),
        (LogRange(0, 20), Fingerprint(1_000, 43)),
        (LogRange(0, 20), Fingerprint(1, 42)),
    ],
)
def test_another_log_is_counted_from_its_start(log: LogRange, found: Fingerprint | None) -> None:
    moved = find_move(progress(10), log, found)
    assert moved is not None
    assert (moved[0].next_offset, moved[0].records_lost, moved[0].opens_incarnation) == (0, 0, True)


def test_a_record_without_value_has_a_fingerprint() -> None:
    assert fingerprint(5, None) == fingerprint(5, b"")
