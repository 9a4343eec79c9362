"""The connection and its transactions: opened with its pragmas, and kept for as long as the ledger is open.

Owns how a transaction begins and how its failures are reported. Knows no table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, pool

from collector.ledger import versions
from collector.ledger.database import PATIENCE_S
from collector.ledger.sqlite.copying import copy_pages, make_copy, remove_leftovers
from collector.ledger.sqlite.creating import create_tables
from collector.ledger.sqlite.database_file import DatabaseFile
from collector.ledger.sqlite.failures import FAILURES, damaged, replaced, to_ledger_error
from collector.ledger.sqlite.locks import FileLocks

T = TypeVar("T")
_PAGE_SIZE = 8192  # holds several slices, and keeps the tree flat
_CHECKED_WHOLE = 8 * 2**20  # bytes: up to this size, checking every page takes some ten milliseconds


class SqliteDatabase:
    """One open ledger (`database.Database`)."""

    across_machines = False

    def __init__(self, engine: Engine, file: DatabaseFile, liveness: FileLocks) -> None:
        self.where = str(file.path)
        self.liveness = liveness
        self._file = file
        self.migrated: versions.Migration | None = None
        self._begin = "BEGIN"
        event.listen(engine, "begin", self._on_begin)
        self._opened = file.identity()
        self._connection = engine.connect()

    @classmethod
    def open(
        cls, file: DatabaseFile, *, durable: bool, patience_s: float = PATIENCE_S, create: bool = True
    ) -> SqliteDatabase:
        """Open the ledger; migrate an older one; create a missing one if `create` is set. Raises LedgerError."""
        where = str(file.path)
        try:
            # Before any directory is created: it raises if the path can't be a ledger.
            if not file.exists() and not create:
                raise replaced(where, None)
            file.prepare()
            with file.opening_lock(patience_s=patience_s):
                file.try_file_system(durable=durable)
                if not file.exists():
                    file.create(_build)
                engine = _engine(file.path, durable=durable, patience_s=patience_s)
                database = cls(engine, file, FileLocks(file.holders))
                try:
                    database._check(file.path.stat().st_size)
                except BaseException:
                    database.close()
                    raise
                return database
        except FAILURES as error:
            raise to_ledger_error(error, where) from error

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read-only transaction that sees one consistent state of the ledger."""
        return self._transaction("BEGIN", work)

    def write(self, work: Callable[[Connection], T], *, patient: bool = True) -> T:
        """Run `work` in the only transaction that writes at that time, and commit all of it or nothing."""
        del patient  # a file is always reachable
        return self._transaction("BEGIN IMMEDIATE", work)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._connection.engine.dispose()

    def _transaction(self, begin: str, work: Callable[[Connection], T]) -> T:
        self._begin = begin
        try:
            with self._connection.begin():
                result = work(self._connection)
                self._require_same_file()
                return result
        except FAILURES as error:
            raise to_ledger_error(error, self.where) from error

    def _require_same_file(self) -> None:
        """Raise LedgerError if the path has another file by now: SQLite would go on with one that nobody reads."""
        now = self._file.identity()
        if now is None or now != self._opened:
            raise replaced(self.where, now)

    def _on_begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(self._begin)

    def _check(self, size: int) -> None:
        version = self.read(lambda tx: version_of(tx, self.where, size))
        if versions.is_older(version, self.where):
            self.migrated = self.write(lambda tx: self._migrate(tx, str(version)))

    def _migrate(self, tx: Connection, version: str) -> versions.Migration:
        """Migrate the ledger, and keep it as it was in a copy beside it: no other process writes in between."""
        path = self._file.path
        copy = path.with_name(f"{path.name}.v{version}")
        remove_leftovers(copy)
        # A connection of its own: SQLite doesn't copy out of one that is about to write.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source:
            make_copy(copy, lambda part: copy_pages(part, source))
        versions.migrate(tx)
        return versions.Migration(where=self.where, from_=version, to=versions.KNOWN[-1], copy=copy)


def version_of(tx: Connection, where: str, size: int) -> str | None:
    """Return the version of a ledger; check it for damage first, if it isn't too large. Raises LedgerError."""
    if size <= _CHECKED_WHOLE:
        result = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if result != "ok":
            raise damaged(where, " ".join(str(result).split()))
    return versions.version_of(tx)


def create_database(file: DatabaseFile, build: Callable[[Connection], None]) -> None:
    """Create a ledger as `build` makes it, in one transaction. Raises LedgerError."""
    try:
        file.prepare()
        file.create(partial(_build, by=build))
    except FAILURES as error:
        raise to_ledger_error(error, str(file.path)) from error


def _build(path: Path, *, by: Callable[[Connection], None] = create_tables) -> None:
    engine = _engine(path, durable=True, patience_s=PATIENCE_S)
    database = SqliteDatabase(engine, DatabaseFile(path), FileLocks(path.parent))
    try:
        database.write(by)
    finally:
        database.close()


def _engine(path: Path, *, durable: bool, patience_s: float) -> Engine:
    def connect() -> sqlite3.Connection:
        # The driver begins no transactions by itself, `_on_begin` does (SQLAlchemy's documents: "Serializable
        # isolation / Savepoints / Transactional DDL"). With mode=rw a missing file isn't created.
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=patience_s, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=pool.NullPool)
