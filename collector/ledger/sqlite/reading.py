"""Reading a ledger in SQLite without creating anything beside it: no -wal, no -shm, no lock.

SQLite reads a database in WAL mode only with a -wal and a -shm beside it, and creates them even if it only
reads; where it may not, it fails. There are two cases:

- The -wal holds something: a process uses the ledger, or was killed. The -shm exists too, and SQLite reads
  both (mode=ro), in a directory that it can't write as well.
- Else all is in the database file, and no process has written since it was opened. SQLite reads it as a file that
  doesn't change (immutable). If another process begins to write meanwhile, the file or its -wal looks different
  afterwards: then the read doesn't count, and is repeated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event, pool

from collector.errors import LedgerError
from collector.ledger import versions
from collector.ledger.database import PATIENCE_S
from collector.ledger.sqlite.database_file import DatabaseFile
from collector.ledger.sqlite.engine import version_of
from collector.ledger.sqlite.failures import FAILURES, to_ledger_error
from collector.ledger.sqlite.locks import FileLocks

T = TypeVar("T")
_TRIES = 100
_Look = tuple[tuple[int, int, int], int]


class SqliteReader:
    """One ledger that is only read (`database.Readable`). Each transaction has a connection of its own."""

    def __init__(self, file: DatabaseFile) -> None:
        self.where = str(file.path)
        self.liveness = FileLocks(file.holders)
        self._path = file.path
        self._wal = Path(f"{file.path}-wal")
        self._options = ""
        self._engine = create_engine("sqlite://", creator=self._connect, poolclass=pool.NullPool)
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))

    @classmethod
    def open(cls, file: DatabaseFile, *, older: bool = False) -> SqliteReader | None:
        """Open the ledger if it exists; one of an older version only if `older` is set. Raises LedgerError."""
        try:
            if not file.exists():
                return None
            size = file.path.stat().st_size
        except OSError as error:
            raise to_ledger_error(error, str(file.path)) from error
        reader = cls(file)
        version = reader.read(lambda tx: version_of(tx, reader.where, size))
        if not (versions.is_older(version, reader.where) and older):
            versions.require_current(version, reader.where)
        return reader

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that sees one consistent state of the ledger."""
        for _ in range(_TRIES):
            try:
                before = self._look()
                self._options = "mode=ro" if before[1] else "mode=ro&immutable=1"
                try:
                    with self._engine.connect() as connection, connection.begin():
                        result = work(connection)
                except (*FAILURES, LedgerError):  # what changes while it is read may look damaged
                    if self._look() == before:
                        raise
                else:
                    if before[1] or self._look() == before:
                        return result
            except FAILURES as error:
                raise to_ledger_error(error, self.where) from error
        raise LedgerError(f"the ledger {self.where} can't be read: other processes change it all the time; run again")

    def close(self) -> None:
        """Close the engine; it keeps no connection."""
        self._engine.dispose()

    def _look(self) -> _Look:
        """Return what another process changes by writing: the file's time, size and inode, the size of the -wal."""
        found = self._path.stat()
        try:
            wal = self._wal.stat().st_size
        except FileNotFoundError:
            wal = 0
        return (found.st_mtime_ns, found.st_size, found.st_ino), wal

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.as_uri()}?{self._options}",
            uri=True,
            timeout=PATIENCE_S,
            isolation_level=None,
            check_same_thread=False,
        )
