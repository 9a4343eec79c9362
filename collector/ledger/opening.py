"""Choose the database that a ledger's URL names."""

from __future__ import annotations

from pathlib import Path

from collector.ledger import sqlite
from collector.ledger.database import Database


def open_database(url: str, *, durable: bool, patience_s: float, password_file: Path | None) -> Database:
    """Open the ledger of a URL; create it if it is new, migrate it if it is older. Raises LedgerError."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        dsn = postgresql.Dsn.of(url, password_file=password_file)
        return postgresql.PostgresDatabase.open(dsn, durable=durable, patience_s=patience_s)
    return sqlite.SqliteDatabase.open(sqlite.DatabaseFile.of(url), durable=durable, patience_s=patience_s)


def is_there(url: str, *, password_file: Path | None = None) -> bool:
    """Return whether the ledger of a URL exists already. Raises LedgerError if it can't be a ledger."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        return postgresql.PostgresDatabase.exists(postgresql.Dsn.of(url, password_file=password_file))
    return sqlite.DatabaseFile.of(url).exists()
