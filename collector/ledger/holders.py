"""The processes that work on orgs, and what is done about those that live no more.

How one tells that another lives is the database's own (`Liveness`): a locked file, or a lock that a
session of the server holds. Judging and burying is done within a writing transaction: one process
at a time. The row comes after the lock and goes before it: a row without a lock is that of a dead
one, at any point where a process may be killed. Whoever finds its own row gone has been buried, and
books nothing more: the row is the truth, the lock only tells who may delete it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, insert, select

from collector.core.ledger_entries import Holder
from collector.errors import LedgerError
from collector.ledger import schema
from collector.ledger.codec import instant_of, micros

_ROW = schema.holder.c
# Made once: with each batch of slices they are executed some times.
_MY_PID = select(_ROW.pid).where(_ROW.holder_id == bindparam("me"))
_OTHERS = select(_ROW.holder_id, _ROW.server, _ROW.missed_since).where(_ROW.holder_id != bindparam("me"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a judge knows of a holder beside its lock (`schema.holder`)."""

    holder_id: str
    server: str | None
    missed_since: int | None


class Liveness(Protocol):
    """Tells the living from the dead."""

    def begin(self, holder_id: str) -> str | None:
        """Count as alive from now on, for as long as this process lives; may be called again if that was lost.

        Returns by which start of the server, if there is one. Raises LedgerError if another one has the name.
        """
        ...

    def dead(self, tx: Connection, others: Sequence[Seen]) -> list[str]:
        """Return who of the others lives no more, and remove their traces outside the tables."""
        ...

    def end(self) -> None:
        """Count as dead."""
        ...

    def drop(self) -> None:
        """Count as dead and clear nothing up: what a kill does."""
        ...


def register(tx: Connection, me: Holder, liveness: Liveness) -> None:
    """Begin to live, and write our row; whoever had our id before is dead, since we hold its lock."""
    server = liveness.begin(me.holder_id)
    tx.execute(delete(schema.holder).where(_ROW.holder_id == me.holder_id))
    bury_dead(tx, me, liveness)
    values = {"holder_id": me.holder_id, "host": me.host, "pid": me.pid, "command": me.command}
    tx.execute(insert(schema.holder).values(**values, since=micros(me.since), server=server))


def unregister(tx: Connection, me: Holder) -> None:
    """Delete our row; our leases are free with it, and what we left is known to be left behind."""
    tx.execute(delete(schema.holder).where(_ROW.holder_id == me.holder_id))


def is_buried(tx: Connection, me: Holder) -> bool:
    """Say whether our row is gone."""
    return tx.scalar(_MY_PID, {"me": me.holder_id}) is None


def expect_alive(tx: Connection, me: Holder) -> None:
    """Raise LedgerError if our row is gone: our leases may be another's by now."""
    if is_buried(tx, me):
        raise LedgerError(
            "another process took this one for dead, and its orgs over: its lock was gone (the files beside the "
            "ledger were removed, or the server couldn't be reached for long); nothing is lost: call again"
        )


def bury_dead(tx: Connection, me: Holder, liveness: Liveness) -> None:
    """Delete the rows of dead holders; their leases are free with them, and their files and runs are left behind."""
    seen = [
        Seen(holder_id=holder_id, server=server, missed_since=since)
        for holder_id, server, since in tx.execute(_OTHERS, {"me": me.holder_id}).all()
    ]
    if dead := liveness.dead(tx, seen):
        tx.execute(delete(schema.holder).where(_ROW.holder_id.in_(dead)))


def holder_of(row: Sequence[Any]) -> Holder:
    """Return the holder of a row of its table, or of the columns of one."""
    holder_id, host, pid, command, since, *_ = row
    return Holder(holder_id=holder_id, host=host, pid=pid, command=command, since=instant_of(since))
