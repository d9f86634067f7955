"""What the processes of one gateway share: counts against limits, and reports."""

from __future__ import annotations

import pytest

from services.domain.configuration import EndpointConfig
from services.gateway import board as boards
from services.gateway.board import Board, Report
from services.gateway.exposition import Bars, Family
from services.gateway.health import HealthBook
from services.gateway.limits import COLUMNS, SharedCounts

ENDPOINT = EndpointConfig(version=(1, 1), key="e", endpoint_kind="openai", base_url="http://x")


def test_a_limit_holds_across_processes() -> None:
    counts = SharedCounts(2)
    one, other = (
        HealthBook(lambda key, process=process: counts.cell(process, key)).of(ENDPOINT)  # type: ignore[misc]
        for process in range(2)
    )
    one.begin()
    assert not other.at_limit(2)
    other.begin()
    assert one.at_limit(2)
    assert other.at_limit(2)
    other.end()
    assert not one.at_limit(2)


def test_what_a_dead_process_counted_is_forgotten() -> None:
    counts = SharedCounts(2)
    dead, alive = counts.cell(0, "e"), counts.cell(1, "e")
    assert dead is not None
    assert alive is not None
    dead.set(5)
    alive.set(1)
    assert alive.total == 6
    counts.clear(0)
    assert alive.total == 1


def test_when_the_table_is_full_each_counts_alone() -> None:
    counts = SharedCounts(1)
    cells = [counts.cell(0, f"e{number}") for number in range(COLUMNS)]
    assert None not in cells
    assert counts.cell(0, "one more") is None
    assert counts.cell(0, "e0") is not None


def report(process: int) -> Report:
    return Report(
        process,
        1,
        "gateway",
        [{"key": "e"}],
        [Family("a", "gauge", "A.", ("process",), (), [(["1"], 1.0), (["2"], Bars([1], 2.0))])],
    )


def test_reports_of_the_others_are_found() -> None:
    board = Board(3)
    board.write(0, report(1))
    board.write(2, report(3))
    assert board.others(0) == [report(3)]
    assert board.others(1) == [report(1), report(3)]
    board.clear(2)
    assert board.others(1) == [report(1)]


def test_what_is_half_written_or_old_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(2)
    board.write(0, report(1))
    board._map[100] ^= 0xFF
    assert board.others(1) == []
    board.write(0, report(1))
    assert board.others(1) == [report(1)]
    monkeypatch.setattr(boards, "OLD_SECONDS", -1.0)
    assert board.others(1) == []
