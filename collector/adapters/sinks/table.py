"""Records in a table of PostgreSQL: one row for each record, the newest.

A second table beside it, whose name ends in `_files`, has what an output directory has beside its records: its id,
whose it is, manifests and coverage files. Rows are merged, so that nothing changes if the same ones come again. The
connection is given: whoever composes the parts knows how a server is reached.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import sql

from collector.adapters.sinks.converting import whole_lines
from collector.adapters.sinks.directory import JOURNAL
from collector.core.record_columns import record_columns
from collector.core.record_sql import KEY, Dialect, merge, table
from collector.errors import OutputError

Connection = psycopg.Connection[Any]
T = TypeVar("T")

_ATTEMPTS = 3
_AGAIN_S = 0.5
_ROWS = re.compile(r"usage-([\w-]{1,64})-0001\.jsonl")  # the rows of a run, as a file that adoption reads
# A server's jsonb has no NUL. Two backslashes are an escaped one, and no escape begins with the second.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


_INSERT: LiteralString = "INSERT INTO {files} (name, content, modified) VALUES (%s, %s, clock_timestamp())"


class TableStore:
    """The two tables (`blobs.Blobs`: what is in the second one). `name` is the first one, with its schema."""

    def __init__(
        self, url: str, name: str, *, connect: Callable[[], Connection], reason: Callable[[Exception], str]
    ) -> None:
        self.url = url
        self.name = name
        schema, _, table_name = name.partition(".")
        self._tables = {
            "kept": sql.Identifier(schema, table_name),
            "files": sql.Identifier(schema, f"{table_name}_files"),
            "by_run": sql.Identifier(f"{table_name}_run_id"),
        }
        self._connect = connect
        self._reason = reason
        self._connection: Connection | None = None
        self._is_there = False

    def create(self, name: str, content: bytes) -> bool:
        """Insert a content; return False if its name is taken."""
        self._create_tables()
        return bool(self._asked(f"{_INSERT} ON CONFLICT (name) DO NOTHING RETURNING name", name, content.decode()))

    def replace(self, name: str, content: bytes) -> None:
        """Insert a content, whatever is there."""
        self._create_tables()
        self._asked(
            f"{_INSERT} ON CONFLICT (name) DO UPDATE SET content = excluded.content, modified = excluded.modified "
            "RETURNING name",
            *(name, content.decode()),
        )

    def read(self, name: str) -> bytes | None:
        """Return a content; None if there is none. The rows of a run are one, too."""
        if rows := _ROWS.fullmatch(name):
            lines = self._asked(
                "SELECT to_json(one)::text FROM {kept} AS one WHERE run_id = %s ORDER BY collected_at, revision",
                rows[1],
            )
            return "".join(f"{line}\n" for (line,) in lines).encode() or None
        found = self._asked("SELECT content FROM {files} WHERE name = %s", name)
        return str(found[0][0]).encode() if found else None

    def size(self, name: str) -> int | None:
        """Return the size of a content; None if there is none."""
        found = self._asked("SELECT octet_length(content) FROM {files} WHERE name = %s", name)
        return int(found[0][0]) if found else None

    def remove(self, name: str) -> None:
        """Remove a content; no error if there is none."""
        self._asked("DELETE FROM {files} WHERE name = %s RETURNING name", name)

    def listed(self, folder: str) -> list[str]:
        """Return what is in a folder; in the empty one, also the rows of each run that has any."""
        start = f"{folder}/" if folder else ""
        found = self._asked(
            "SELECT name FROM {files} WHERE starts_with(name, %s) AND starts_with(name, %s) = %s",
            *(start, f"{JOURNAL}/", folder == JOURNAL),
        )
        names = [name.removeprefix(start) for (name,) in found]
        return names if folder else [*names, *self._rows_by_run()]

    def close(self) -> None:
        """End the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def merge(self, lines: Iterable[bytes]) -> None:
        """Merge records in a transaction of our own."""
        kept = list(lines)

        def work(connection: Connection) -> None:
            with connection.transaction():
                merge_lines(connection, self.name, kept)

        self._create_tables()
        self._repeated(work)

    def merge_along(self, connection: Any, lines: Iterator[bytes]) -> None:
        """Merge records within a transaction of the ledger. Raises OutputError if the table is what fails."""
        try:
            merge_lines(connection, self.name, lines)
        except psycopg.OperationalError:
            raise  # of the ledger's session: the ledger repeats the transaction
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _rows_by_run(self) -> list[str]:
        """Return the rows of each run as one content. Looks from one run to the next in the index."""
        found = self._asked(
            "WITH RECURSIVE runs (run_id) AS (SELECT min(run_id) FROM {kept} UNION ALL "
            "SELECT (SELECT min(run_id) FROM {kept} WHERE run_id > runs.run_id) FROM runs "
            "WHERE run_id IS NOT NULL) SELECT run_id FROM runs WHERE run_id IS NOT NULL",
        )
        return [f"usage-{run_id}-0001.jsonl" for (run_id,) in found]

    def _asked(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; none if the tables aren't there."""
        if not self._are_there():
            return []
        composed = self._composed(statement)
        return self._repeated(lambda connection: connection.execute(composed, values).fetchall())

    def _composed(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(**self._tables)

    def _are_there(self) -> bool:
        if not self._is_there:
            asked = "SELECT to_regclass(%s) IS NOT NULL AND to_regclass(%s) IS NOT NULL"
            names = (self.name, f"{self.name}_files")
            ((self._is_there,),) = self._repeated(lambda one: one.execute(asked, names).fetchall())
        return self._is_there

    def _create_tables(self) -> None:
        """Create the tables that are missing. Raises OutputError also for a table that lacks columns."""
        if self._are_there():
            return
        files = self._composed(
            "CREATE TABLE IF NOT EXISTS {files} "
            "(name text PRIMARY KEY, content text NOT NULL, modified timestamptz NOT NULL)"
        )
        by_run = self._composed("CREATE INDEX IF NOT EXISTS {by_run} ON {kept} (run_id)")

        def work(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (self.name,))
                connection.execute(table(Dialect.POSTGRESQL, quoted(self.name)).encode())
                connection.execute(files)
                connection.execute(by_run)

        self._repeated(work)
        self._is_there = True

    def _repeated(self, work: Callable[[Connection], T]) -> T:
        """Do what may be done twice, again if the session broke. Raises OutputError."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._connection = self._connection or self._connect()
                return work(self._connection)
            except psycopg.Error as error:
                self.close()
                if attempt == _ATTEMPTS or not isinstance(error, psycopg.OperationalError):
                    raise self._failed(error) from error
            time.sleep(_AGAIN_S)
        raise AssertionError

    def _failed(self, error: psycopg.Error) -> OutputError:
        missing: dict[type[psycopg.Error], str] = {
            psycopg.errors.UndefinedColumn: "it lacks columns of records: add them as `collector schema sql` has them",
            psycopg.errors.InvalidColumnReference: f"it has no primary key on {KEY}, so that nothing can be merged",
            psycopg.errors.UndefinedTable: "it was removed while a run used it: run again, which creates it",
        }
        why = missing.get(type(error)) or self._reason(error)
        return OutputError(f"the table {self.name} of the output can't be used: {why}")


def quoted(name: str) -> str:
    """Return the name of a table with its schema, so that it may be a word of SQL."""
    return ".".join(f'"{part}"' for part in name.split("."))


def merge_lines(connection: Connection, name: str, pieces: Iterable[bytes]) -> None:
    """Merge JSON Lines of records into a table: of each record the newest stays. The server reads the JSON."""
    into = quoted(name)
    names = ", ".join(f"record.{column.name}" for column in record_columns())
    source = (
        f"(SELECT {names} FROM jsonb_array_elements(%(lines)s::jsonb) AS line, "  # noqa: S608 - names of ours
        f"jsonb_populate_record(CAST(NULL AS {into}), line) AS record) AS fresh"
    )
    statement = merge(Dialect.POSTGRESQL, into, source)
    for piece in whole_lines(pieces):
        text = ",".join(piece.decode().removesuffix("\n").split("\n"))
        connection.execute(statement.encode(), {"lines": "[" + _NUL.sub(r"\1\\ufffd", text) + "]"})
