"""The liveness check for processes on one machine: locked files.

Each process locks a file of its own for as long as it is alive. The kernel releases the lock when the
process ends, in whatever way, so no clock is needed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from collector import disk
from collector.errors import LedgerError
from collector.ledger.holders import HolderRow


class FileLocks:
    """A locked file for each living process, in a directory beside the ledger (`holders.Liveness`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._lock = -1

    def begin(self, holder_id: str) -> None:
        """Create a locked file. It gets its name after it is locked, so no process sees it unlocked."""
        if self.is_alive(holder_id):
            raise LedgerError(f"another process uses the ledger with the same id ({holder_id})")
        self.abandon()
        path = self._path_of(holder_id)
        unnamed = path.with_suffix(".new")
        self._lock = disk.open_file(unnamed, os.O_RDWR, 0o600)
        self._path = path
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)

    def find_dead(self, tx: Connection, others: Sequence[HolderRow]) -> list[str]:
        """Return the ids of those whose files aren't locked, and remove all files of dead processes."""
        del tx
        dead = [other.holder_id for other in others if not self.is_alive(other.holder_id)]
        for path in self._directory.glob("*.holder"):
            if path != self._path and not self.is_alive(path.stem):
                path.unlink(missing_ok=True)
        return dead

    def dead(self, tx: Connection, others: Sequence[HolderRow]) -> list[str]:
        """Return the ids of those whose files aren't locked. One whose file this user can't read may be alive."""
        del tx
        found = []
        for other in others:
            with suppress(PermissionError):
                if not self.is_alive(other.holder_id):
                    found.append(other.holder_id)
        return found

    def is_alive(self, holder_id: str) -> bool:
        """Return whether the file of a process is locked. The shared mode lets several processes check at once."""
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
        """Remove our file and release its lock."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Release the lock and leave the file, as a killed process does."""
        if self._lock >= 0:
            os.close(self._lock)
            self._path, self._lock = None, -1

    def _path_of(self, holder_id: str) -> Path:
        return self._directory / f"{holder_id}.holder"
