"""What is wrong with a ledger, looked for in all of it: pages, references between rows, and values.

It is read only. A ledger of an older version can be looked at, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sqlalchemy import Connection, column, func, inspect, select, table

from collector.ledger.codec import DamagedError, emission_of, instant_of, population_of, state_of
from collector.ledger.outbox import lines_of
from collector.ledger.schema import file, metadata, outbox, restatement, slice_

_PAGES = 1000  # lines of SQLite's report at most
_ROWS = 5000  # of a server, at once


def find_damage(tx: Connection, *, limit: int) -> list[str]:
    """Return the first things that are wrong, each as a line."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
    return list(islice(_all(tx), limit))


def _all(tx: Connection) -> Iterator[str]:
    if tx.dialect.name == "sqlite":
        for (line,) in tx.exec_driver_sql(f"PRAGMA integrity_check({_PAGES})"):
            if line != "ok":
                yield " ".join(str(line).split())
    yield from _references(tx)
    yield from _values(tx)
    yield from _outbox(tx)


def _references(tx: Connection) -> Iterator[str]:
    """Yield the columns that name rows of another table which don't exist, by the ledger's own constraints."""
    look = inspect(tx)
    for name in sorted(metadata.tables.keys() & {*look.get_table_names()}):
        for key in look.get_foreign_keys(name):
            (own,), (other,), parent = key["constrained_columns"], key["referred_columns"], key["referred_table"]
            child, known = table(name, column(own)), table(parent, column(other)).alias("known")
            orphan = (
                select(func.count())
                .select_from(child.outerjoin(known, known.c[other] == child.c[own]))
                .where(child.c[own].is_not(None), known.c[other].is_(None))
            )
            if rows := tx.scalar(orphan):
                yield f"{name}.{own}: {rows} rows name a row of {parent} that doesn't exist"


def _values(tx: Connection) -> Iterator[str]:
    """Yield the slices with a value that no collector wrote."""
    columns = (slice_.c.org, slice_.c.population, slice_.c.start, slice_.c.end, slice_.c.state)
    query = select(*columns, slice_.c.emission, slice_.c.prior)
    for row in tx.execute(query, execution_options={"yield_per": _ROWS}):
        try:
            population_of(row.population)
            state_of(row.state)
            if instant_of(row.start) >= instant_of(row.end):
                raise DamagedError("it ends before it begins")
            for text in (row.emission, row.prior):
                if text is not None:
                    emission_of(text)
        except DamagedError as error:
            yield f"slice of org {row.org}, population {row.population}, start {row.start}: {error}"
    if not inspect(tx).has_table(restatement.name):
        return  # an older ledger
    for row in tx.execute(select(restatement), execution_options={"yield_per": _ROWS}):
        try:
            population_of(row.population)
            emission_of(row.replaced)
        except DamagedError as error:
            yield f"restatement of org {row.org}, population {row.population}, start {row.start}: {error}"


def _outbox(tx: Connection) -> Iterator[str]:
    """Yield the files whose records in the outbox are not those that are committed."""
    if not inspect(tx).has_table(outbox.name):
        return  # of an older version
    sizes: dict[int, int] = {}
    query = select(outbox).order_by(outbox.c.file, outbox.c.start)
    for row in tx.execute(query, execution_options={"yield_per": 16}):
        try:
            is_next = row.start == sizes.get(row.file, 0)
            sizes[row.file] = row.start + len(lines_of(row.content)) if is_next else -1
        except DamagedError as error:
            yield f"file {row.file}: {error}"
            sizes[row.file] = -1
    for file_id, size in sizes.items():
        if size != tx.scalar(select(file.c.bytes).where(file.c.id == file_id)):
            yield f"file {file_id}: the outbox lacks records that are committed"
