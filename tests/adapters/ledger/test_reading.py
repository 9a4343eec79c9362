"""Reading a ledger: nothing is created, and what a writer does meanwhile is seen whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from collector.errors import LedgerError
from collector.ledger import LedgerReader, open_reader
from collector.ledger.sqlite import DatabaseFile, SqliteReader
from tests.adapters.ledger.conftest import Open, Worker
from tests.adapters.ledger.support import ALWAYS, commit, database_of_another_program, open_ledger, registered, url_of
from tests.support.orgs import make_org


def reader_of(at: Path | str) -> LedgerReader:
    reader = open_reader(url_of(at) if isinstance(at, Path) else at)
    assert reader is not None
    return reader


def filled(path: Path, slices: int = 5) -> int:
    ledger = open_ledger(path)
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(slices)], None)
    ledger.close()
    return standing.key


def tree(directory: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time: the -shm is memory that readers share."""
    found = [p for p in directory.rglob("*") if not p.name.endswith("-shm")]
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in found}


def test_a_missing_ledger_is_none_and_stays_missing(path: Path) -> None:
    assert open_reader(url_of(path)) is None
    assert not path.parent.exists()


def test_reading_a_closed_ledger_creates_and_changes_nothing(path: Path) -> None:
    key = filled(path)
    before = tree(path.parent)
    reader = reader_of(path)
    assert len(reader.coverage(key, ALWAYS)) == 5
    assert tree(path.parent) == before
    reader.close()
    assert tree(path.parent) == before


def test_what_a_writer_commits_is_read_at_once(url: str, opened: Open) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    reader = reader_of(url)
    for n in range(3):
        ledger.commit([commit(standing.key, n)], None)
        assert len(reader.coverage(standing.key, ALWAYS)) == n + 1
    reader.close()
    ledger.commit([commit(standing.key, 9)], None)


def test_a_writer_that_comes_while_the_file_is_read_makes_the_read_count_again(path: Path) -> None:
    key = filled(path)
    reader = SqliteReader.open(DatabaseFile.of(url_of(path)))
    assert reader is not None
    counts: list[int] = []

    def work(tx: Connection) -> int:
        counts.append(int(tx.exec_driver_sql("SELECT count(*) FROM slice").scalar_one()))
        if len(counts) == 1:
            ledger = open_ledger(path)
            ledger.commit([commit(key, 100 + n) for n in range(2000)], None)
            ledger.close()  # it writes the database file, and removes the -wal
        return counts[-1]

    assert reader.read(work) == 2005
    assert counts == [5, 2005]


def test_a_ledger_that_changes_all_the_time_is_reported(path: Path) -> None:
    filled(path)
    reader = SqliteReader.open(DatabaseFile.of(url_of(path)))
    assert reader is not None
    ticks = iter(range(1_000_000_000, 2_000_000_000, 1000))
    with pytest.raises(LedgerError, match="other processes change it all the time; run again"):
        reader.read(lambda _: os.utime(path, ns=(next(ticks), next(ticks))))


def test_what_a_killed_process_left_is_in_doubt_for_a_reader_though_nobody_has_noticed(
    url: str, opened: Open, worker: Callable[[], Worker]
) -> None:
    (standing,) = registered(opened(), make_org())
    reader = reader_of(url)
    process = worker()
    process.send(f"commit {standing.key}")
    assert [process.receive(), process.receive()] == ["begun", "0"]
    assert not reader.awaited()
    assert reader.in_doubt() == {}
    process.kill()
    (left,) = reader.awaited()
    assert left.slices > 0
    assert reader.in_doubt() == {standing.key: frozenset({left.file.file_id})}
    reader.close()


def test_what_a_killed_process_left_is_in_doubt_for_a_process_that_has_nothing_to_write(
    opened: Open, worker: Callable[[], Worker]
) -> None:
    """A service that waits for its next run showed these windows as complete."""
    (standing,) = registered(ledger := opened(), make_org())
    process = worker()
    process.send(f"commit {standing.key}")
    assert [process.receive(), process.receive()] == ["begun", "0"]
    assert ledger.in_doubt() == {}
    process.kill()
    (left,) = ledger.awaited()
    assert ledger.in_doubt() == {standing.key: frozenset({left.file.file_id})}


def test_the_wal_of_a_killed_process_is_read(path: Path, tmp_path: Path) -> None:
    """The backup of a ledger at work: the file, its -wal and its -shm."""
    ledger = open_ledger(path)
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(5)], None)
    copy = tmp_path / "copy"
    shutil.copytree(path.parent, copy)
    ledger.close()
    before = tree(copy)
    reader = reader_of(copy / path.name)
    assert len(reader.coverage(standing.key, ALWAYS)) == 5
    reader.close()
    assert tree(copy) == before


@pytest.mark.parametrize("damage", [b"not a ledger\n" * 100, b""])
def test_a_damaged_ledger_is_reported_to_readers_too(path: Path, damage: bytes) -> None:
    filled(path)
    path.write_bytes(damage)
    with pytest.raises(LedgerError, match=f"the ledger {path} is damaged"):
        open_reader(url_of(path))
    assert path.read_bytes() == damage


def test_a_database_of_another_program_is_refused_and_not_changed(path: Path) -> None:
    before = database_of_another_program(path)
    with pytest.raises(LedgerError, match="is a database, but not a ledger of this collector: name another file"):
        open_reader(url_of(path))
    assert path.read_bytes() == before


def test_an_older_ledger_is_not_migrated_by_one_who_reads(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "version_0001.sql").read_text())
    connection.close()
    before = tree(path.parent)
    with pytest.raises(LedgerError, match=r"has version 0001, and this collector works with version .* does: run one"):
        open_reader(url_of(path))
    reader = open_reader(url_of(path), older=True)
    assert reader is not None
    info = reader.info()
    assert (info.version, info.orgs, info.slices, info.runs, info.unsealed, info.current) == ("0001", 2, 3, 1, 1, None)
    assert reader.damage(limit=9) == []
    assert tree(path.parent) == before
