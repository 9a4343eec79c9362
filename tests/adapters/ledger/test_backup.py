"""A backup is one consistent file, made while processes write, and replaces nothing unasked."""

from __future__ import annotations

import shlex
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.errors import ConfigError, LedgerError
from collector.ledger import LedgerInfo, LedgerReader, back_up, open_reader
from tests.adapters.ledger.conftest import Open, Worker
from tests.adapters.ledger.support import ALWAYS, commit, open_ledger, registered, url_of
from tests.support.orgs import make_org


@pytest.fixture
def url(path: Path) -> str:
    """A ledger in SQLite."""
    return url_of(path)


def backup(at: Path, target: Path, *, replace: bool = False) -> LedgerInfo:
    return back_up(url_of(at), target, password_file=None, replace=replace)


def reader_of(path: Path) -> LedgerReader:
    reader = open_reader(url_of(path))
    assert reader is not None
    return reader


def filled(ledger_path: Path, slices: int) -> int:
    ledger = open_ledger(ledger_path)
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(slices)], None)
    ledger.close()
    return standing.key


def test_a_backup_is_one_file_with_everything(path: Path, tmp_path: Path) -> None:
    key = filled(path, 5)
    target = tmp_path / "backup.db"
    made = backup(path, target)
    assert (made.where, made.version, made.orgs, made.slices) == (str(target), made.version, 1, 5)
    assert made.size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {one.name for one in tmp_path.iterdir()} == {"state", "backup.db"}
    restored = reader_of(target)
    assert len(restored.coverage(key, ALWAYS)) == 5
    assert restored.known_outputs() == reader_of(path).known_outputs()


def test_a_backup_has_what_a_process_has_committed_and_not_written_to_the_file_yet(opened: Open, path: Path) -> None:
    ledger = opened()
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(5)], None)
    backup(path, path.parent / "backup.db")
    ledger.commit([commit(standing.key, 9)], None)
    assert len(reader_of(path.parent / "backup.db").coverage(standing.key, ALWAYS)) == 5


def test_a_backup_is_of_one_moment_though_another_process_writes_all_the_time(
    opened: Open, path: Path, tmp_path: Path, worker: Callable[[], Worker]
) -> None:
    (standing,) = registered(opened(), make_org())
    process = worker()
    process.send(f"commit {standing.key}")
    assert [process.receive(), process.receive()] == ["begun", "0"]
    for n in range(5):
        backup(path, tmp_path / f"{n}.db")
        copy = open_reader(url_of(tmp_path / f"{n}.db"))
        assert copy is not None
        assert copy.damage(limit=9) == []
    process.kill()


def test_a_file_is_replaced_only_on_request(path: Path, tmp_path: Path) -> None:
    filled(path, 2)
    target = tmp_path / "backup.db"
    target.write_text("precious")
    with pytest.raises(ConfigError, match="exists: name another file, or replace it with --force"):
        backup(path, target)
    assert target.read_text() == "precious"
    assert backup(path, target, replace=True).slices == 2


@pytest.mark.parametrize("name", ["state/ledger.db", "state/ledger.db-wal", "state", "nowhere/backup.db"])
def test_what_cannot_be_meant_as_a_backup_is_refused(path: Path, tmp_path: Path, name: str) -> None:
    filled(path, 2)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"in use, or a part|is a directory|is not an existing directory"):
        backup(path, tmp_path / name, replace=True)
    assert path.read_bytes() == before


def test_a_ledger_that_another_process_uses_is_not_replaced_by_a_backup(
    opened: Open, path: Path, tmp_path: Path
) -> None:
    filled(tmp_path / "other" / "ledger.db", 3)
    registered(opened(), make_org())
    with pytest.raises(ConfigError, match="is a ledger that is in use"):
        backup(tmp_path / "other" / "ledger.db", path, replace=True)


def test_a_missing_ledger_has_no_backup(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        backup(path, tmp_path / "backup.db")
    assert list(tmp_path.iterdir()) == []


def test_an_older_ledger_is_backed_up_as_it_is(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parent / "version_0002.sql").read_text())
    connection.close()
    assert backup(path, tmp_path / "backup.db").version == "0002"


def test_the_progress_of_a_backup_ends_with_all_pages(path: Path, tmp_path: Path) -> None:
    filled(path, 5)
    seen: list[tuple[int, int]] = []
    back_up(
        url_of(path),
        tmp_path / "backup.db",
        password_file=None,
        replace=False,
        progress=lambda done, pages: seen.append((done, pages)),
    )
    assert seen[-1][0] == seen[-1][1] > 0


def test_for_postgresql_the_command_is_shown_without_a_secret(tmp_path: Path) -> None:
    url = "postgresql://me:hunter2@db.invalid:5433/usage?sslmode=verify-full&schema=mine&sslpassword=hunter3"
    with pytest.raises(ConfigError) as caught:
        back_up(url, tmp_path / "my backup", password_file=None, replace=False)
    assert "hunter" not in str(caught.value)
    command = shlex.split(str(caught.value).partition("`")[2].partition("`")[0])
    assert command[0] == "pg_dump"
    assert command[1].startswith("--dbname=")
    assert {*command[1].removeprefix("--dbname=").split()} == {
        "user=me",
        "host=db.invalid",
        "port=5433",
        "dbname=usage",
        "sslmode=verify-full",
    }
    assert command[2:] == ["--schema=mine", "--format=custom", f"--file={tmp_path}/my backup"]


# --- damage ---------------------------------------------------------------------------------


def damaged(path: Path, *statements: str) -> list[str]:
    filled(path, 3)
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return list(reader_of(path).damage(limit=9))


def test_a_sound_ledger_has_no_damage(path: Path) -> None:
    assert damaged(path) == []


def test_an_emission_that_no_collector_wrote_is_found(path: Path) -> None:
    (found,) = damaged(path, "UPDATE slice SET emission = '[1, 2]' WHERE start = (SELECT min(start) FROM slice)")
    assert found.startswith("slice of org 1, population 0, start 1780272000000000: an emission doesn't have the format")


def test_a_state_that_no_collector_wrote_is_found(path: Path) -> None:
    (found,) = damaged(path, "UPDATE slice SET state = 77 WHERE start = (SELECT min(start) FROM slice)")
    assert found.endswith("the code 77 is unknown")


def test_a_row_that_names_a_missing_row_is_found(path: Path) -> None:
    assert damaged(path, "UPDATE slice SET file = 99", "UPDATE alias SET org = 7") == [
        "alias.org: 1 rows name a row of org that doesn't exist",
        "slice.file: 3 rows name a row of file that doesn't exist",
    ]


def test_an_index_that_misses_a_row_is_found(path: Path) -> None:
    found = damaged(
        path,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX org_changed ON org (wanted_from)' WHERE name = 'org_changed'",
    )
    assert any("org_changed" in line for line in found)


def test_a_name_that_is_too_long_is_refused_and_one_that_is_just_short_enough_is_written(
    path: Path, tmp_path: Path
) -> None:
    filled(path, 2)
    for length in (255, 300):
        with pytest.raises(ConfigError, match="can't be written: File name too long"):
            backup(path, tmp_path / ("b" * length))
    target = tmp_path / ("b" * 247)
    backup(path, target)
    assert target.stat().st_size > 0
