"""The connection: opened with its pragmas, kept for as long as the ledger is open, and its transactions.

Owns how a transaction begins and how its failures read. Never knows a table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, pool

from collector.ledger import versions
from collector.ledger.database import PATIENCE_S
from collector.ledger.sqlite.database_file import Place
from collector.ledger.sqlite.failures import FAILURES, damaged, in_words
from collector.ledger.sqlite.locks import FileLocks

T = TypeVar("T")
_PAGE_SIZE = 8192  # several slices to a page, and few levels of pages
_CHECKED_WHOLE = 8 * 2**20  # bytes: up to here a look at every page costs some ten milliseconds


class SqliteDatabase:
    """One open ledger (`database.Database`)."""

    across_machines = False

    def __init__(self, engine: Engine, where: str, liveness: FileLocks) -> None:
        self.where = where
        self.liveness = liveness
        self._begin = "BEGIN"
        event.listen(engine, "begin", self._on_begin)
        self._connection = engine.connect()

    @classmethod
    def open(cls, place: Place, *, durable: bool, patience_s: float = PATIENCE_S) -> SqliteDatabase:
        """Open the ledger at a place: a new one is created, an older one migrated. Raises LedgerError."""
        where = str(place.path)
        try:
            place.exists()  # nothing is made beside what can't be a ledger
            place.prepare()
            with place.alone(patience_s=patience_s):
                if not place.exists():
                    place.create(_build)
                engine = _engine(place.path, durable=durable, patience_s=patience_s)
                database = cls(engine, where, FileLocks(place.holders))
                try:
                    database._check(place.path.stat().st_size)
                except BaseException:
                    database.close()
                    raise
                return database
        except FAILURES as error:
            raise in_words(error, where) from error

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction that sees one state of the ledger and writes nothing."""
        return self._transaction("BEGIN", work)

    def write(self, work: Callable[[Connection], T], *, patient: bool = True) -> T:
        """Do something in a transaction that is the only one to write; all of it is committed, or nothing."""
        del patient  # a file doesn't go away
        return self._transaction("BEGIN IMMEDIATE", work)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._connection.engine.dispose()

    def _transaction(self, begin: str, work: Callable[[Connection], T]) -> T:
        self._begin = begin
        try:
            with self._connection.begin():
                return work(self._connection)
        except FAILURES as error:
            raise in_words(error, self.where) from error

    def _on_begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(self._begin)

    def _check(self, size: int) -> None:
        if versions.is_older(self.read(lambda tx: self._version(tx, size)), self.where):
            self.write(versions.migrate)

    def _version(self, tx: Connection, size: int) -> str | None:
        if size <= _CHECKED_WHOLE:
            verdict = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if verdict != "ok":
                raise damaged(self.where, " ".join(str(verdict).split()))
        return versions.found(tx)


def _build(path: Path) -> None:
    engine = _engine(path, durable=True, patience_s=PATIENCE_S)
    database = SqliteDatabase(engine, str(path), FileLocks(path.parent))
    try:
        database.write(versions.migrate)
    finally:
        database.close()


def _engine(path: Path, *, durable: bool, patience_s: float) -> Engine:
    def connect() -> sqlite3.Connection:
        # The driver begins no transactions of its own accord: `begin` does (SQLAlchemy, "Serializable
        # isolation / Savepoints / Transactional DDL"). A file that vanished isn't made anew.
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
