"""Choose the database that a ledger's URL names."""

from __future__ import annotations

from pathlib import Path

from collector.errors import ConfigError
from collector.ledger import sqlite
from collector.ledger.database import Database, Look, Readable
from collector.ledger.info import LedgerInfo


def open_database(
    url: str, *, durable: bool, patience_s: float, password_file: Path | None, create: bool = True
) -> Database:
    """Open the ledger of a URL; create it if it is new and `create` is set, migrate it if it is older.

    Raises LedgerError.
    """
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        dsn = postgresql.Dsn.of(url, password_file=password_file)
        return postgresql.PostgresDatabase.open(dsn, durable=durable, patience_s=patience_s, create=create)
    return sqlite.SqliteDatabase.open(
        sqlite.DatabaseFile.of(url), durable=durable, patience_s=patience_s, create=create
    )


def open_readable(url: str, *, password_file: Path | None, older: bool = False) -> Readable | None:
    """Open the ledger of a URL to read it; None if there is none. Migrates nothing.

    Raises LedgerError, also for a ledger of an older version, unless `older` is set.
    """
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        dsn = postgresql.Dsn.of(url, password_file=password_file)
        return postgresql.PostgresDatabase.open_to_read(dsn, older=older)
    return sqlite.SqliteReader.open(sqlite.DatabaseFile.of(url), older=older)


def back_up(
    url: str, target: Path, *, password_file: Path | None, replace: bool, progress: sqlite.Progress | None = None
) -> LedgerInfo:
    """Copy the ledger of a URL to a file while processes use it; return what the copy is.

    Raises ConfigError for a file that can't be used, and for a server's ledger, with the command that backs it up.
    Raises LedgerError.
    """
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        command = postgresql.Dsn.of(url, password_file=password_file).dump_command(target)
        raise ConfigError(
            f"a ledger in PostgreSQL is backed up by its own tool: run `{command}`. It asks for the password, or reads "
            "it from PGPASSFILE; `pg_restore` restores it"
        )
    return sqlite.back_up(sqlite.DatabaseFile.of(url), target, replace=replace, progress=progress)


def open_look(url: str, *, password_file: Path | None) -> Look:
    """Return the look at the ledger of a URL; it opens nothing yet. Raises LedgerError for a URL that can't be used."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        return postgresql.PostgresLook(postgresql.Dsn.of(url, password_file=password_file))
    return sqlite.SqliteLook(sqlite.DatabaseFile.of(url))


def name_of(url: str) -> str:
    """Return what messages call the ledger of a URL; it shows no secret. Raises LedgerError."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        return str(postgresql.Dsn.of(url))
    return str(sqlite.DatabaseFile.of(url).path)
