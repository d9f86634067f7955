"""Sequence journals outlive their gateway, and belong to one process at a time."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from services.gateway.journal import SequenceJournal, adopt_orphans

GATEWAY, INSTALLATION, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)


def test_the_numbers_of_a_dead_gateway_are_found(tmp_path: Path) -> None:
    journal = SequenceJournal.create(tmp_path, GATEWAY, INSTALLATION, 3)
    journal.numbers[0] = 5
    journal.numbers[2] = 1 << 40
    journal.close()
    (orphan,) = adopt_orphans(tmp_path, INSTALLATION)
    assert orphan.gateway == GATEWAY
    assert list(orphan.numbers) == [5, 0, 1 << 40]
    orphan.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_journal_of_a_living_gateway_is_left_alone(tmp_path: Path) -> None:
    journal = SequenceJournal.create(tmp_path, GATEWAY, INSTALLATION, 3)
    assert list(adopt_orphans(tmp_path, INSTALLATION)) == []
    journal.close()


def test_an_adopted_journal_is_adopted_once(tmp_path: Path) -> None:
    SequenceJournal.create(tmp_path, GATEWAY, INSTALLATION, 3).close()
    (orphan,) = adopt_orphans(tmp_path, INSTALLATION)
    assert list(adopt_orphans(tmp_path, INSTALLATION)) == []
    orphan.close()
    assert [found.remove() for found in adopt_orphans(tmp_path, INSTALLATION)] == [None]


def test_the_journal_of_another_installation_is_left_alone(tmp_path: Path) -> None:
    SequenceJournal.create(tmp_path, GATEWAY, OTHER, 3).close()
    assert list(adopt_orphans(tmp_path, INSTALLATION)) == []
    assert len(list(tmp_path.iterdir())) == 1


def test_a_journal_that_was_not_written_whole_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{GATEWAY}.sequences").write_bytes(b"hgseq")
    (tmp_path / f"{OTHER}.sequences").write_bytes(b"")
    assert list(adopt_orphans(tmp_path, INSTALLATION)) == []
    assert list(tmp_path.iterdir()) == []
