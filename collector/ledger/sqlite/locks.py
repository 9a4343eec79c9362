"""How a process tells that another lives, where all are on one machine: locked files.

Each holds a lock on a file of its own for as long as it lives; the kernel lets go of it when the
process ends, however it ends, so that no clock is needed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from collector.errors import LedgerError
from collector.ledger.holders import Seen


class FileLocks:
    """A locked file for each living process, in a directory beside the ledger (`holders.Liveness`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._lock = -1

    def begin(self, holder_id: str) -> None:
        """Show a file under our name: it is locked before it can be seen, so it is never taken for a dead one's."""
        if self.is_alive(holder_id):
            raise LedgerError(f"the ledger is in use by another process under the name {holder_id}")
        self.drop()
        path = self._path_of(holder_id)
        unseen = path.with_suffix(".new")
        self._lock = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = path
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(path)

    def dead(self, tx: Connection, others: Sequence[Seen]) -> list[str]:
        """Return whose files aren't locked, and remove those of everybody who is no more."""
        del tx
        dead = [other.holder_id for other in others if not self.is_alive(other.holder_id)]
        for path in self._directory.glob("*.holder"):
            if path != self._path and not self.is_alive(path.stem):
                path.unlink(missing_ok=True)
        return dead

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
