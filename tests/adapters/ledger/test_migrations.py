"""Ledgers of other versions: older ones are migrated completely or not at all; newer ones are refused."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from collector.core.anomalies import Anomaly
from collector.core.org_coverage import CoverageState
from collector.errors import LedgerError, RefusalReason
from collector.ledger import SqlLedger, versions
from collector.ledger.codec import micros
from collector.ledger.history import HistoryQuery
from collector.ledger.schema import metadata
from collector.ledger.sqlite.creating import END, SCRIPT
from collector.model import SliceState
from scripts.new_ledger import statements
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, ALWAYS, commit, day, days, emission, registered, slice_at, url_of
from tests.support.orgs import make_org

HERE = Path(__file__).parent
STORED = {
    version: HERE / f"version_{version}.sql"
    for version in ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")
}  # a ledger as a collector of that version wrote it
SCRIPTS = Path(versions.__file__).parent / "migrations"

NEXT_VERSION = """
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "0011"
def upgrade():
    op.add_column("run", sa.Column("note", sa.Text))
    op.execute("UPDATE run SET note = 'migrated'")
    op.execute("{more}")
"""


@pytest.fixture
def url(path: Path) -> str:
    """A ledger in SQLite; test_postgresql.py has the tests for PostgreSQL."""
    return url_of(path)


def restore(dump: Path, path: Path) -> None:
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text())
    connection.close()


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_the_script_for_new_ledgers_is_what_the_migrations_make(path: Path, ledger: SqlLedger) -> None:
    del ledger  # it is new
    made = statements()
    assert SCRIPT.read_text() == "".join(f"{one}{END}" for one in made), "run `make reference`"
    stored = query(path, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    assert [str(sql) for (sql,) in stored] == made
    assert query(path, "SELECT version_num FROM alembic_version") == [(versions.KNOWN[-1],)]
    ((own, restated_from),) = query(path, "SELECT id, restated_from FROM ledger")
    assert (len(str(own)), restated_from) == (32, None)


KEPT = {"ledger.db.holders", "ledger.db.v0003"}


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A later version of the tables, with a migration that a test can edit."""
    scripts = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    script = scripts / "versions" / "v9999_next.py"
    script.write_text(NEXT_VERSION.replace("{more}", "SELECT 1"))
    monkeypatch.setattr(versions, "SCRIPTS", str(scripts))
    monkeypatch.setattr(versions, "KNOWN", (*versions.KNOWN, "9999"))
    return script


def test_every_version_has_a_stored_ledger_and_a_script() -> None:
    config = Config()
    config.set_main_option("script_location", versions.SCRIPTS)
    scripts = ScriptDirectory.from_config(config)
    assert tuple(STORED) == versions.KNOWN
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == versions.KNOWN
    assert scripts.get_heads() == [versions.KNOWN[-1]]


def test_migrations_create_the_tables_of_the_schema(ledger: SqlLedger) -> None:
    def look(tx: Connection) -> tuple[list[Any], dict[str, str]]:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        sql = {row.name: row.sql for row in tx.exec_driver_sql("SELECT name, sql FROM sqlite_schema")}
        return compare_metadata(context, metadata), sql

    differences, sql = ledger._database.read(look)
    assert differences == []
    assert "WITHOUT ROWID" in sql["slice"]
    assert "WHERE file IS NOT NULL" in sql["slice_in_file"]
    assert "AUTOINCREMENT" in sql["org"]
    assert "AUTOINCREMENT" in sql["file"]


@pytest.mark.parametrize("version", STORED)
def test_a_stored_ledger_of_every_version_can_be_used(opened: Open, path: Path, version: str) -> None:
    restore(STORED[version], path)
    ledger = opened()
    acme, beta = registered(ledger, make_org("acme"), make_org("beta"))
    assert (acme.key, acme.org_id, beta.org_id) == (1, "111", None)
    row = ledger.rows([slice_at(acme.key, 0)])[slice_at(acme.key, 0)]
    assert row.emission == emission()
    assert row.anomalies == ({Anomaly.SHRUNK: ["automation"]} if version >= "0007" else {})
    assert {start: known.state for (_, start), known in ledger.coverage(acme.key, ALWAYS).items()} == {
        day(0): SliceState.COMPLETE,
        day(1): SliceState.FAILED,
        day(2): SliceState.COMPLETE,
    }
    (file,) = ledger.left_behind()
    assert (file.name, file.bytes, file.seal_intended) == ("usage-run-1-0001.jsonl", 512, True)
    assert ledger.lost(file.file_id) == 1
    assert ledger.begin_run("run-2", "collect", day(9)) == ["run-1"]
    assert ledger.acquire([acme.key, beta.key]) == {}
    ledger.commit([commit(beta.key, 0)], None)
    assert ledger.coverage(beta.key, ALWAYS).keys() == {(ACCOUNT, day(0))}
    assert query(path, "SELECT version_num FROM alembic_version") == [(versions.KNOWN[-1],)]


@pytest.mark.parametrize(("last", "refused_at"), [("refused", 3), ("complete", None), ("partial", None), ("failed", 3)])
def test_an_older_ledger_shows_since_when_an_org_is_refused(
    opened: Open, path: Path, last: str, refused_at: int | None
) -> None:
    """By the slices: the refusals after the last answer."""
    restore(STORED["0004"], path)
    connection = sqlite3.connect(path)
    at = {n: micros(day(n)) for n in range(10)}
    fetches = [(1, 3, "refused_not_admin"), (2, 5, "refused_not_admin"), (3, 7, "refused_credential")]
    for n, asked, code in [(0, 2, None), *fetches]:
        done = at[asked] if code is None else None
        row = (2, 0, at[n], at[n + 1], 3 if code else 0, code, at[asked], done)
        connection.execute("INSERT INTO slice VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)", row)
    if last != "refused":
        state, code, done = {"complete": (0, None, at[9]), "partial": (1, None, None), "failed": (2, "http_503", None)}[
            last
        ]
        row = (2, 1, at[0], at[1], state, code, at[9], done)
        connection.execute("INSERT INTO slice VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)", row)
    connection.commit()
    connection.close()
    key = registered(ledger := opened(), make_org("beta"))[0].key
    ((history, _),) = ledger.histories([HistoryQuery(key=key, recent_from=None, names=("beta",))])
    found = history.refusal
    assert (None if found is None else found.first_at) == (None if refused_at is None else day(refused_at))
    if found is not None:
        assert (found.reason, found.message, found.last_at) == (RefusalReason.CREDENTIAL, None, day(7))
    assert query(path, "SELECT name FROM refusal") == ([("beta",)] if refused_at else [])


def test_an_older_ledger_shows_which_zeros_are_unverified(opened: Open, path: Path) -> None:
    restore(STORED["0008"], path)
    connection = sqlite3.connect(path)
    emissions = {
        3: '[1780272000000000,0,{"automation":[1,2,0,0],"visual":[1,2]}]',
        4: '[1780272000000000,0,{"automation":[1,2,0,0],"visual":[1,0,2,0]}]',
        5: '[1780272000000000,2,{"automation":[2,0,0,0]}]',
    }
    for n, text in emissions.items():
        row = (
            1,
            0,
            micros(day(n)),
            micros(day(n + 1)),
            0,
            None,
            micros(day(9)),
            micros(day(9)),
            text,
            None,
            None,
            None,
        )
        connection.execute("INSERT INTO slice VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    acme = registered(ledger := opened(), make_org("acme"))[0]
    accounts = ledger.accounts(acme.key, ALWAYS)
    assert [start for (_, start), account in accounts.items() if account.unverified] == [day(3)]
    ((history, _),) = ledger.histories([HistoryQuery(key=acme.key, recent_from=None)])
    assert (CoverageState.UNVERIFIED, days(3, 4)) in history.populations[ACCOUNT].spans
    assert ledger.coverage(acme.key, ALWAYS)[ACCOUNT, day(3)].naming is None


def test_an_older_ledger_is_migrated_when_it_is_opened(opened: Open, path: Path, next_version: Path) -> None:
    assert next_version.exists()
    restore(STORED["0001"], path)
    opened()
    assert query(path, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert query(path, "SELECT note FROM run") == [("migrated",)]


def test_an_older_ledger_is_kept_as_it_was_beside_the_migrated_one(opened: Open, path: Path) -> None:
    restore(STORED["0003"], path)
    before = "\n".join(dump(path))
    path.with_name(".ledger.db.v0003.0123abcd").write_text("what a killed process left")
    ledger = opened()
    copy = path.with_name("ledger.db.v0003")
    assert ledger.migrated == versions.Migration(where=str(path), from_="0003", to=versions.KNOWN[-1], copy=copy)
    assert "\n".join(dump(copy)) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert {one.name for one in path.parent.iterdir()} == {"ledger.db", "ledger.db-shm", "ledger.db-wal", *KEPT}
    assert opened().migrated is None


def test_a_ledger_that_cannot_be_kept_is_not_migrated(opened: Open, path: Path) -> None:
    restore(STORED["0003"], path)
    path.with_name("ledger.db.v0003").mkdir()
    with pytest.raises(
        LedgerError, match=r"the copy .*/ledger.db.v0003 of the ledger can't be written: Is a directory"
    ):
        opened()
    assert query(path, "SELECT version_num FROM alembic_version") == [("0003",)]


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(opened: Open, path: Path, next_version: Path) -> None:
    next_version.write_text(NEXT_VERSION.replace("{more}", "INSERT INTO nowhere VALUES (1)"))
    restore(STORED["0001"], path)
    before = query(path, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    with pytest.raises(LedgerError, match="can't be used: SQLITE_ERROR at ledger/versions"):
        opened()
    assert query(path, "SELECT name, sql FROM sqlite_schema ORDER BY name") == before
    assert query(path, "SELECT version_num FROM alembic_version") == [("0001",)]


def test_a_newer_ledger_is_refused_and_not_changed(opened: Open, path: Path) -> None:
    opened().close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '99999'")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError) as caught:
        opened()
    assert str(caught.value) == (
        f"the ledger {path} has version 99999, but this collector supports versions up to {versions.KNOWN[-1]}: "
        "upgrade the collector"
    )
    assert path.read_bytes() == before


def test_a_database_without_a_version_is_not_a_ledger(opened: Open, path: Path) -> None:
    opened().close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM alembic_version")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="not a ledger of this collector"):
        opened()
