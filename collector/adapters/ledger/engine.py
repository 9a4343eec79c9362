"""The connection: opened with its pragmas, kept for as long as the ledger is open, and its transactions.

Owns how a transaction begins and how its failures read. Never knows a table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, pool

from collector.adapters.ledger import versions
from collector.adapters.ledger.failures import FAILURES, damaged, in_words
from collector.adapters.ledger.place import Place

PATIENCE_S = 30.0
_PAGE_SIZE = 8192  # several slices to a page, and few levels of pages
_CHECKED_WHOLE = 8 * 2**20  # bytes: up to here a look at every page costs some ten milliseconds


class Database:
    """One open ledger; for one thread at a time."""

    def __init__(self, engine: Engine, where: str) -> None:
        self.where = where
        self._begin = "BEGIN"
        event.listen(engine, "begin", self._on_begin)
        self._connection = engine.connect()

    @classmethod
    def open(cls, place: Place, *, durable: bool, patience_s: float = PATIENCE_S) -> Database:
        """Open the ledger at a place: a new one is created, an older one migrated. Raises LedgerError."""
        where = str(place.path)
        try:
            place.exists()  # nothing is made beside what can't be a ledger
            place.prepare()
            with place.alone(patience_s=patience_s):
                if not place.exists():
                    place.create(_build)
                database = cls(_engine(place.path, durable=durable, patience_s=patience_s), where)
                try:
                    database._check(place.path.stat().st_size)
                except BaseException:
                    database.close()
                    raise
                return database
        except FAILURES as error:
            raise in_words(error, where) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run a transaction that sees one state of the ledger and writes nothing."""
        with self._transaction("BEGIN") as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run a transaction that is the only one to write; all of it is committed, or nothing."""
        with self._transaction("BEGIN IMMEDIATE") as tx:
            yield tx

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._connection.engine.dispose()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        self._begin = begin
        try:
            with self._connection.begin():
                yield self._connection
        except FAILURES as error:
            raise in_words(error, self.where) from error

    def _on_begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(self._begin)

    def _check(self, size: int) -> None:
        with self.read() as tx:
            if size <= _CHECKED_WHOLE:
                verdict = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
                if verdict != "ok":
                    raise damaged(self.where, " ".join(str(verdict).split()))
            found = versions.found(tx)
        if versions.is_older(found, self.where):
            with self.write() as tx:
                versions.migrate(tx)


def _build(path: Path) -> None:
    database = Database(_engine(path, durable=True, patience_s=PATIENCE_S), str(path))
    try:
        with database.write() as tx:
            versions.migrate(tx)
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
