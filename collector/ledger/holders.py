"""The processes that work on orgs (holders), and the removal of dead ones.

Each database has its own liveness check (`Liveness`): a locked file, or an advisory lock of a server
session. A process checks and removes others within a writing transaction, so only one does so at a
time. A process takes its lock before it writes its row, and deletes its row before it releases the
lock. So wherever a process is killed, a row without a lock belongs to a dead process. A process that
finds its own row deleted commits nothing more: the row decides who is alive, the lock decides who may
delete the row.
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
# Built once: each batch of slices executes them several times.
_MY_PID = select(_ROW.pid).where(_ROW.holder_id == bindparam("me"))
_OTHERS = select(_ROW.holder_id, _ROW.server, _ROW.missed_since).where(_ROW.holder_id != bindparam("me"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRow:
    """The columns of another holder's row that a liveness check needs (`schema.holder`)."""

    holder_id: str
    server: str | None
    missed_since: int | None


class Liveness(Protocol):
    """Marks this process as alive, and finds dead ones."""

    def begin(self, holder_id: str) -> str | None:
        """Take this process's lock, which ends with the process. May be called again if the lock was lost.

        Returns the start time of the database server, if there is a server: locks end when it restarts.
        Raises LedgerError if another process uses the same id.
        """
        ...

    def find_dead(self, tx: Connection, others: Sequence[HolderRow]) -> list[str]:
        """Return the ids of those that are dead, and remove what they left outside the tables."""
        ...

    def dead(self, tx: Connection, others: Sequence[HolderRow]) -> list[str]:
        """Return the ids of those that are known to be dead. Changes nothing."""
        ...

    def end(self) -> None:
        """Release the lock and clean up."""
        ...

    def abandon(self) -> None:
        """Release the lock without any clean-up, as a killed process does."""
        ...


def register(tx: Connection, me: Holder, liveness: Liveness) -> None:
    """Take our lock and write our row. An earlier process with the same id is dead, since we have its lock."""
    server = liveness.begin(me.holder_id)
    tx.execute(delete(schema.holder).where(_ROW.holder_id == me.holder_id))
    remove_dead_holders(tx, me, liveness)
    values = {"holder_id": me.holder_id, "host": me.host, "pid": me.pid, "command": me.command}
    tx.execute(insert(schema.holder).values(**values, since=micros(me.since), server=server))


def unregister(tx: Connection, me: Holder) -> None:
    """Delete our row. That releases our leases; our unsealed files count as left behind."""
    tx.execute(delete(schema.holder).where(_ROW.holder_id == me.holder_id))


def is_registered(tx: Connection, me: Holder) -> bool:
    """Return whether our row exists."""
    return tx.scalar(_MY_PID, {"me": me.holder_id}) is not None


def require_registered(tx: Connection, me: Holder) -> None:
    """Raise LedgerError if our row was deleted: another process may have our leases by now."""
    if not is_registered(tx, me):
        raise LedgerError(
            "another process assumed that this one is dead and took over its orgs, because this process lost its "
            "lock (the files beside the ledger were removed, or the server was unreachable for too long); nothing "
            "is lost: run again"
        )


def remove_dead_holders(tx: Connection, me: Holder, liveness: Liveness) -> None:
    """Delete the rows of dead holders. That releases their leases; their files and runs count as left behind."""
    if found := liveness.find_dead(tx, _others(tx, me.holder_id)):
        tx.execute(delete(schema.holder).where(_ROW.holder_id.in_(found)))


def dead(tx: Connection, liveness: Liveness, me: str = "") -> list[str]:
    """Return the holders that are dead and still have a row. Who only reads is no holder, and has no id."""
    return liveness.dead(tx, _others(tx, me))


def registered(tx: Connection) -> list[Holder]:
    """Return all holders that have a row, the first one first."""
    return [holder_of(row) for row in tx.execute(select(schema.holder).order_by(_ROW.since, _ROW.holder_id))]


def _others(tx: Connection, me: str) -> list[HolderRow]:
    return [
        HolderRow(holder_id=holder_id, server=server, missed_since=since)
        for holder_id, server, since in tx.execute(_OTHERS, {"me": me}).all()
    ]


def holder_of(row: Sequence[Any]) -> Holder:
    """Return the holder of a row of the holder table."""
    holder_id, host, pid, command, since, *_ = row
    return Holder(holder_id=holder_id, host=host, pid=pid, command=command, since=instant_of(since))
