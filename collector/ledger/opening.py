"""Choose the database that a ledger's URL names."""

from __future__ import annotations

from pathlib import Path

from collector.ledger import sqlite
from collector.ledger.database import Database, Readable


def open_database(
    url: str, *, durable: bool, patience_s: float, password_file: Path | None, create: bool = True
) -> Database:
    """Open the ledger of a URL; create it if it is new, migrate it if it is older. Raises LedgerError.

    Without `create`, a file that is missing is an error; the tables on a server are created in any case.
    """
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        dsn = postgresql.Dsn.of(url, password_file=password_file)
        return postgresql.PostgresDatabase.open(dsn, durable=durable, patience_s=patience_s)
    file = sqlite.DatabaseFile.of(url)
    return sqlite.SqliteDatabase.open(file, durable=durable, patience_s=patience_s, create=create)


def open_readable(url: str, *, password_file: Path | None) -> Readable | None:
    """Open the ledger of a URL to read it; None if there is none. An older one is migrated. Raises LedgerError."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        return postgresql.PostgresDatabase.open_to_read(postgresql.Dsn.of(url, password_file=password_file))
    return sqlite.SqliteReader.open(sqlite.DatabaseFile.of(url))


def name_of(url: str) -> str:
    """Return what messages call the ledger of a URL; it shows no secret. Raises LedgerError."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        return str(postgresql.Dsn.of(url))
    return str(sqlite.DatabaseFile.of(url).path)
