"""The processes that work on orgs, and how one tells that another lives no more.

On SQLite each holds a lock on a file of its own for as long as it lives; the kernel lets go of it
when the process ends, however it ends, so that no clock is needed. Judging and burying is done within
a writing transaction: one process at a time. The row comes after the lock and goes before it: a row
without a locked file is that of a dead one, at any point where a process may be killed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, delete, insert, select

from collector.adapters.ledger import schema
from collector.adapters.ledger.codec import instant_of, micros
from collector.errors import LedgerError
from collector.ports.ledger import Holder


class Liveness(Protocol):
    """Tells the living from the dead."""

    def begin(self, holder_id: str) -> None:
        """Count as alive from now on, for as long as this process lives. Raises LedgerError if another one does."""
        ...

    def is_alive(self, holder_id: str) -> bool:
        """Say whether a holder lives."""
        ...

    def forget_dead(self) -> None:
        """Remove the traces of those that live no more."""
        ...

    def end(self) -> None:
        """Count as dead."""
        ...


class FileLocks:
    """A locked file for each living process, in a directory beside the ledger."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._lock = -1

    def begin(self, holder_id: str) -> None:
        """Show a file under our name: it is locked before it can be seen, so it is never taken for a dead one's."""
        if self.is_alive(holder_id):
            raise LedgerError(f"the ledger is in use by another process under the name {holder_id}")
        path = self._path_of(holder_id)
        unseen = path.with_suffix(".new")
        self._lock = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = path
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(path)

    def is_alive(self, holder_id: str) -> bool:
        """Try the lock. In shared mode: two that judge at once don't take each other for the living one."""
        try:
            descriptor = os.open(self._path_of(holder_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def forget_dead(self) -> None:
        """Remove every file that isn't locked."""
        for path in self._directory.glob("*.holder"):
            if path != self._path and not self.is_alive(path.stem):
                path.unlink(missing_ok=True)

    def end(self) -> None:
        """Remove our file, and let go of it."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.drop()

    def drop(self) -> None:
        """Let go of our file and leave it there: what a kill does."""
        if self._lock >= 0:
            os.close(self._lock)
            self._path, self._lock = None, -1

    def _path_of(self, holder_id: str) -> Path:
        return self._directory / f"{holder_id}.holder"


def register(tx: Connection, me: Holder, liveness: Liveness) -> None:
    """Write our row; whoever had our id before is dead, since we hold its lock."""
    tx.execute(delete(schema.holder).where(schema.holder.c.holder_id == me.holder_id))
    bury_dead(tx, me, liveness)
    tx.execute(
        insert(schema.holder).values(
            holder_id=me.holder_id, host=me.host, pid=me.pid, command=me.command, since=micros(me.since)
        )
    )


def unregister(tx: Connection, me: Holder) -> None:
    """Delete our row; our leases are free with it, and what we left is known to be left behind."""
    tx.execute(delete(schema.holder).where(schema.holder.c.holder_id == me.holder_id))


def expect_alive(tx: Connection, me: Holder) -> None:
    """Raise LedgerError if our row is gone: our leases may be another's by now."""
    if tx.scalar(select(schema.holder.c.pid).where(schema.holder.c.holder_id == me.holder_id)) is None:
        raise LedgerError(
            "another process took this one for dead, and its orgs over: were the files beside the ledger removed? "
            "Call again"
        )


def bury_dead(tx: Connection, me: Holder, liveness: Liveness) -> None:
    """Delete the rows of dead holders; their leases are free with them, and their files and runs are left behind."""
    others = tx.scalars(select(schema.holder.c.holder_id).where(schema.holder.c.holder_id != me.holder_id)).all()
    dead = [holder_id for holder_id in others if not liveness.is_alive(holder_id)]
    if dead:
        tx.execute(delete(schema.holder).where(schema.holder.c.holder_id.in_(dead)))
    liveness.forget_dead()


def holder_of(row: Sequence[Any]) -> Holder:
    """Return the holder of a row of its table, or of the columns of one."""
    holder_id, host, pid, command, since = row
    return Holder(holder_id=holder_id, host=host, pid=pid, command=command, since=instant_of(since))
