"""What SQLAlchemy doesn't do itself: INSERT … ON CONFLICT by dialect, and lists too long for one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Insert = sqlite.Insert | postgresql.Insert


def insert_into(table: Table, tx: Connection) -> Insert:
    """Return an INSERT that supports ON CONFLICT, for the dialect of a connection."""
    return insert_for(table, tx.dialect.name)


def insert_for(table: Table, dialect: str) -> Insert:
    """Return an INSERT that supports ON CONFLICT, for a dialect by its name."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def batches(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """Yield lists that are short enough to be parameters of one statement."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
