"""Which database a ledger's URL names."""

from __future__ import annotations

from pathlib import Path

from collector.ledger import sqlite
from collector.ledger.database import Database


def open_database(url: str, *, durable: bool, patience_s: float, password_file: Path | None) -> Database:
    """Open the ledger of a URL: a new one is created, an older one migrated. Raises LedgerError."""
    if url.startswith("postgresql://"):
        # Its driver is loaded only where it is used.
        from collector.ledger import postgresql  # noqa: PLC0415

        place = postgresql.Place.of(url, password_file=password_file)
        return postgresql.PostgresDatabase.open(place, durable=durable, patience_s=patience_s)
    return sqlite.SqliteDatabase.open(sqlite.Place.of(url), durable=durable, patience_s=patience_s)


def is_there(url: str, *, password_file: Path | None = None) -> bool:
    """Say whether opening the ledger of a URL would make nothing. Raises LedgerError for one that can't be a ledger."""
    if url.startswith("postgresql://"):
        from collector.ledger import postgresql  # noqa: PLC0415 - loads its driver

        return postgresql.PostgresDatabase.exists(postgresql.Place.of(url, password_file=password_file))
    return sqlite.Place.of(url).exists()
