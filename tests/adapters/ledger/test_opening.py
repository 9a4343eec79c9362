"""Opening a ledger in SQLite: a new one, one in use, and errors that say what to do."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.errors import LedgerError
from collector.ledger import SqlLedger
from collector.ledger.sqlite import DatabaseFile, engine
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import (
    ALWAYS,
    T0,
    commit,
    database_of_another_program,
    open_ledger,
    registered,
    url_of,
)
from tests.support.commands import unmeasured
from tests.support.orgs import make_org

ADVICE = "restore a backup of it; or move it away, with the -wal and -shm beside it, and run `backfill --adopt`"


@pytest.fixture
def url(path: Path) -> str:
    """A ledger in SQLite."""
    return url_of(path)


def filled(path: Path, slices: int = 2000) -> int:
    """Create a ledger with slices, close it, and return the key of its org."""
    ledger = open_ledger(path)
    (standing,) = registered(ledger, make_org())
    ledger.commit([commit(standing.key, n) for n in range(slices)], None)
    ledger.close()
    return standing.key


def test_a_new_ledger_and_its_directories_are_for_this_user_only(opened: Open, path: Path) -> None:
    before = os.umask(0)
    try:
        opened(path.parent / "deeper" / "ledger.db")
    finally:
        os.umask(before)
    modes = {p.relative_to(path.parent).as_posix(): stat.S_IMODE(p.stat().st_mode) for p in path.parent.rglob("*")}
    holders = "deeper/ledger.db.holders"
    assert {modes.pop("deeper"), modes.pop(holders), stat.S_IMODE(path.parent.stat().st_mode)} == {0o700}
    assert set(modes.values()) == {0o600}
    assert {"deeper/ledger.db", "deeper/ledger.db-wal", f"{holders}/open.lock"} <= modes.keys()


def test_a_relative_path_is_relative_to_the_working_directory(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(Path("here/ledger.db"))
    assert (tmp_path / "here" / "ledger.db").is_file()


def test_a_path_may_contain_special_characters(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "a b%20ü#x" / "led ger.db"
    opened(path)
    assert path.is_file()


def test_a_link_to_a_ledger_shares_its_locks(opened: Open, path: Path, tmp_path: Path) -> None:
    one = opened()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    other = opened(link)
    (standing,) = registered(one, make_org())
    one.acquire([standing.key])
    assert other.acquire([standing.key]) == {standing.key: one.holder}


def test_closing_leaves_only_the_database_file_and_the_opening_lock(opened: Open, path: Path) -> None:
    opened().close()
    assert [p.name for p in path.parent.rglob("*")] == ["ledger.db", "ledger.db.holders", "open.lock"]


def test_files_of_a_killed_creation_are_removed(opened: Open, path: Path) -> None:
    holders = path.with_name("ledger.db.holders")
    holders.mkdir(parents=True)
    for rest in ("new.db", "new.db-wal", "new.db-shm"):
        (holders / rest).write_bytes(b"rest")
    opened()
    assert not list(holders.glob("new.db*"))


def test_a_durable_ledger_syncs_every_commit(path: Path) -> None:
    ledger = open_ledger(path, durable=True)
    names = ("synchronous", "journal_mode", "foreign_keys")
    pragmas = ledger._database.read(lambda tx: [tx.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names])
    ledger.close()
    assert pragmas == [2, "wal", 1]


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_to_a_header(path: Path) -> None:
    os.truncate(path, 100)


def put_zeros_in_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(64 * 1024))


def overwrite_with_text(path: Path) -> None:
    path.write_text("not a ledger\n" * 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble_the_tables(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1000)


@pytest.mark.parametrize(
    "damage",
    [truncate, cut_to_a_header, put_zeros_in_the_middle, overwrite_with_text, empty, scramble_the_tables],
)
def test_a_damaged_ledger_is_reported_with_advice_and_not_changed(path: Path, damage: Callable[[Path], None]) -> None:
    filled(path)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError) as caught:
        open_ledger(path)
    assert f"the ledger {path} is damaged (" in str(caught.value)
    assert ADVICE in str(caught.value)
    assert path.read_bytes() == before


def test_damage_that_is_found_after_opening_is_reported_too(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = filled(path)
    monkeypatch.setattr(engine, "_CHECKED_WHOLE", 0)  # as if it were too large to be checked completely on opening
    put_zeros_in_the_middle(path)
    ledger = opened()
    with pytest.raises(LedgerError) as caught:
        ledger.coverage(key, ALWAYS)
    assert f"the ledger {path} is damaged (" in str(caught.value)
    assert ADVICE in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE slice SET emission = 'no JSON'",
        "UPDATE slice SET emission = '[1]'",
        "UPDATE slice SET emission = '[1, 2, {\"automation\": [1, 99]}]'",
        "UPDATE slice SET emission = '[1, 2, 3]'",
        "UPDATE slice SET emission = '[99999999999999999999, 2, {}]'",
        "UPDATE slice SET emission = CAST(x'ff00' AS TEXT)",
        "UPDATE slice SET state = 99",
        "UPDATE slice SET complete_at = 'soon'",
    ],
)
def test_a_row_with_an_invalid_value_is_reported_as_damage(path: Path, opened: Open, change: str) -> None:
    key = filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()
    ledger = opened()
    with pytest.raises(LedgerError, match="is damaged"):
        ledger.rows([commit(key, 0).slice])


def test_a_missing_ledger_with_a_wal_is_not_created_again(path: Path) -> None:
    filled(path)
    path.rename(path.with_name("ledger.db-wal"))
    with pytest.raises(LedgerError, match=r"the file is missing, but ledger\.db-wal exists"):
        open_ledger(path)
    assert not path.exists()


def test_a_directory_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LedgerError, match="is a directory: name a file in it"):
        open_ledger(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_device_is_refused() -> None:
    with pytest.raises(LedgerError, match="is not a regular file: name one"):
        open_ledger(Path("/dev/null"))


def test_a_path_below_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="can't be used: Not a directory"):
        open_ledger(tmp_path / "file" / "ledger.db")


def test_a_database_of_another_program_is_refused_and_not_changed(path: Path) -> None:
    before = database_of_another_program(path)
    with pytest.raises(LedgerError, match="is a database, but not a ledger of this collector: name another file"):
        open_ledger(path)
    assert path.read_bytes()[100:] == before[100:]  # SQLite may have noted the WAL mode in the header


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "sqlite:/x", "x"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(LedgerError, match=r"names no file: write it like sqlite:///path/to/file\.db"):
        SqlLedger.open(url, command="collect", now=lambda: T0)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@db/x?nonsense=1", "me:hunter2@nonsense"])
def test_no_password_is_ever_shown(url: str) -> None:
    with pytest.raises(LedgerError) as caught:
        SqlLedger.open(url, command="collect", now=lambda: T0)
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__suppress_context__ or ''}"
    assert caught.value.__cause__ is None


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from collector.errors import LedgerError
from tests.adapters.ledger.support import open_ledger
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    open_ledger(Path("ledger.db"))
except LedgerError as error:
    print(error)
"""


def as_other_user(directory: Path) -> str:
    """Open a ledger as a user who can't write to its directory; return the message."""
    root = Path(__file__).parents[3]
    inside = f"import os; os.chdir({str(directory)!r})\n" + UNPRIVILEGED
    done = subprocess.run(
        [sys.executable, "-c", inside],
        env=unmeasured() | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can read. The directories of pytest are for one user."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        yield Path(directory).resolve()
        Path(directory).chmod(0o755)


def test_a_read_only_directory_is_reported(public: Path) -> None:
    assert as_other_user(public).startswith(
        f"the ledger {public / 'ledger.db'} can't be used: Permission denied: {public / 'ledger.db.holders'} (this "
    )


def test_a_read_only_ledger_is_reported(public: Path) -> None:
    public.chmod(0o755)
    filled(public / "ledger.db")
    for kept in public.rglob("*"):
        kept.chmod(0o777 if kept.is_dir() else 0o666)
    (public / "ledger.db").chmod(0o444)
    public.chmod(0o555)
    message = as_other_user(public)
    assert message.startswith(
        f"the ledger {public / 'ledger.db'} can't be used: Permission denied: {public / 'ledger.db'} "
    )
    assert message.endswith(": make the file and its directory readable and writable for this user\n")


def test_a_ledger_that_stays_locked_is_reported(path: Path, opened: Open) -> None:
    ledger = opened(patience_s=0.05)
    (standing,) = registered(ledger, make_org())
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(LedgerError, match="another process kept it locked for too long"):
            ledger.commit([commit(standing.key, 0)], None)
        assert ledger.coverage(standing.key, ALWAYS) == {}  # readers don't wait for writers
        with pytest.raises(LedgerError, match="another process kept it locked for too long"):
            opened(patience_s=0.05)
    finally:
        blocker.close()
    ledger.commit([commit(standing.key, 0)], None)
    assert len(ledger.coverage(standing.key, ALWAYS)) == 1


def test_a_ledger_that_is_being_created_for_too_long_is_reported(path: Path) -> None:
    file = DatabaseFile.of(url_of(path))
    file.prepare()
    with file.opening_lock(patience_s=0), pytest.raises(LedgerError, match="is creating or migrating it"):
        open_ledger(path, patience_s=0.05)


def test_a_ledger_that_is_moved_away_is_gone_for_those_who_use_it_until_it_is_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state/ledger.db"
    ledger = SqlLedger.open(url, command="test", now=lambda: T0)
    try:
        (tmp_path / "state").rename(tmp_path / "aside")
        with pytest.raises(LedgerError, match="was removed while this process used it"):
            ledger.identified()
        with pytest.raises(LedgerError, match="was removed while this process used it"):
            SqlLedger.open(url, command="test", now=lambda: T0, create=False)
        assert not (tmp_path / "state").exists()
        other = SqlLedger.open(url, command="test", now=lambda: T0)
        other.close()
        with pytest.raises(LedgerError, match="was replaced by another file"):
            ledger.identified()  # not those of the other one
        (tmp_path / "state").rename(tmp_path / "other")
        (tmp_path / "aside").rename(tmp_path / "state")
        assert ledger.identified() == {}
    finally:
        ledger.close()
