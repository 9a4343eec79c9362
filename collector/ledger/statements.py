"""What SQLAlchemy doesn't do itself: INSERT … ON CONFLICT by dialect, and statements with long lists of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Select, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

    Insert = sqlite.Insert | postgresql.Insert

T = TypeVar("T")


def insert_into(table: Table, tx: Connection) -> Insert:
    """Return an INSERT that supports ON CONFLICT, for the dialect of a connection."""
    return insert_for(table, tx.dialect.name)


def insert_for(table: Table, dialect: str) -> Insert:
    """Return an INSERT that supports ON CONFLICT, for a dialect by its name."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - a twentieth of a command's start

        return postgresql.insert(table)
    return sqlite.insert(table)


def execute_many(tx: Connection, statement: Insert, rows: Sequence[Mapping[str, object]]) -> None:
    """Execute an INSERT for rows that have the same keys, by the driver alone.

    SQLAlchemy would look at each value of each row once more, which takes as long as writing it.
    """
    plain = _plain(statement, tx.dialect, tuple(rows[0]))
    tx.exec_driver_sql(plain.text, [plain.parameters(row) for row in rows])


def execute_plain(tx: Connection, statement: Select[Any], values: Mapping[str, object]) -> CursorResult[Any]:
    """Execute a SELECT that has many parameters, by the driver alone; its columns come as the driver returns them."""
    plain = _plain(statement, tx.dialect, None)
    return tx.exec_driver_sql(plain.text, plain.parameters(values))


@dataclass(frozen=True, slots=True)
class _Plain:
    """A statement's text for a driver. `order` is that of its parameters, where they have no names."""

    text: str
    order: Sequence[str] | None

    def parameters(self, values: Mapping[str, object]) -> Any:
        return dict(values) if self.order is None else tuple([values[name] for name in self.order])


@lru_cache(maxsize=64)
def _plain(statement: Insert | Select[Any], dialect: Dialect, columns: tuple[str, ...] | None) -> _Plain:
    compiled = statement.compile(dialect=dialect, column_keys=None if columns is None else list(columns))
    return _Plain(compiled.string, compiled.positiontup if compiled.positional else None)


def batches(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """Yield lists that are short enough to be parameters of one statement."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
