"""What a person wants to know of a whole ledger: where it is, how large, what it holds, who uses it.

It can be read of a ledger of an older version too, as far as that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select, text

from collector.core.ledger_entries import Holder
from collector.core.outputs import Output
from collector.ledger import holders, outputs, schema, versions, views
from collector.ledger.holders import Liveness


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerInfo:
    """A whole ledger."""

    where: str
    version: str
    size: int  # bytes
    orgs: int
    slices: int
    runs: int
    unsealed: int  # files
    current: Current | None  # None: it has an older version

    @property
    def is_older(self) -> bool:
        """Whether it will be migrated."""
        return self.current is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """What only a ledger of our version has."""

    ledger_id: str
    awaited: int  # of the unsealed files: those that dead processes left
    processes: Sequence[Holder]  # that use it
    outputs: Sequence[Output]  # the latest first


def read_info(tx: Connection, *, where: str, liveness: Liveness) -> LedgerInfo:
    """Return what is known of a ledger."""
    version = str(versions.version_of(tx))

    def count(table: Table) -> int:
        return tx.scalar(select(func.count()).select_from(table)) or 0

    return LedgerInfo(
        where=where,
        version=version,
        size=_size(tx),
        orgs=count(schema.org),
        slices=count(schema.slice_),
        runs=count(schema.run),
        unsealed=count(schema.file),
        current=None if versions.is_older(version, where) else _current(tx, liveness),
    )


def _current(tx: Connection, liveness: Liveness) -> Current:
    dead = holders.dead(tx, liveness)
    known = outputs.known(tx)
    return Current(
        ledger_id=known.ledger_id,
        awaited=len(views.awaited(tx, dead=dead)),
        processes=[one for one in holders.registered(tx) if one.holder_id not in dead],
        outputs=known.outputs,
    )


def _size(tx: Connection) -> int:
    if tx.dialect.name == "sqlite":
        pages, size = (tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
        return int(pages * size)
    names = [*schema.metadata.tables, versions.version_table(tx)]
    query = text(
        "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0) FROM unnest(CAST(:names AS text[])) AS name"
    )
    return int(tx.execute(query, {"names": names}).scalar_one())
