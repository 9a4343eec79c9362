"""The database file of a ledger in SQLite, and the directory beside it with the locks of its users.

Owns the checks before SQLite opens a file, and the creation of a new one: it is built under another name
and renamed when it is complete, so a kill at any point leaves no ledger or a whole one. Never opens an
existing file: closing it would release the locks of this process's other connections.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector import disk
from collector.disk import Ability, needs
from collector.errors import LedgerError
from collector.ledger.sqlite.failures import damaged

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """The resolved path of a ledger: processes that use different links to it share the same locks."""

    path: Path

    @classmethod
    def of(cls, url: str) -> DatabaseFile:
        """Return the file that a `sqlite:///` URL names. Raises LedgerError; its message shows nothing of the URL."""
        scheme, _, rest = url.partition("://")
        path = rest.removeprefix("/")  # not decoded: versions of SQLAlchemy differ in what a % means
        if scheme != "sqlite" or not path or path == rest or path.startswith((":memory:", "file:")):
            raise LedgerError("the ledger's URL names no file: write it like sqlite:///path/to/file.db")
        return cls(Path(path).resolve())

    @property
    def holders(self) -> Path:
        """The directory of the lock files."""
        return self.path.with_name(f"{self.path.name}.holders")

    def prepare(self) -> None:
        """Create the directories, for one user only: the ledger's, if it exists."""
        disk.make_directories(self.holders, 0o700, like=self.path if self.path.exists() else None)

    @contextmanager
    def opening_lock(self, *, patience_s: float) -> Iterator[None]:
        """Keep other processes from creating or migrating the ledger. The lock ends with the process."""
        lock = disk.open_file(self.holders / "open.lock", os.O_RDWR, 0o600)
        try:
            tries = round(patience_s / _POLL_S)
            while True:
                try:
                    with needs(Ability.LOCK):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if tries <= 0:
                        raise LedgerError(
                            f"the ledger {self.path} can't be opened: another process is creating or migrating it; "
                            "run again later"
                        ) from None
                tries -= 1
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(lock)

    def try_file_system(self, *, durable: bool) -> None:
        """Try what SQLite and the locks need, but for what `opening_lock` has tried. Raises OSError."""
        probe, renamed = self.holders / "probe", self.holders / "probed"
        for leftover in (probe, renamed):
            leftover.unlink(missing_ok=True)
        descriptor = disk.create_file(probe, os.O_RDWR, 0o600)
        try:
            os.ftruncate(descriptor, mmap.PAGESIZE)  # it has no content: it must fit on a full disk
            with needs(Ability.LOCK_PARTS):
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            with needs(Ability.SHARE_MEMORY):
                mmap.mmap(descriptor, mmap.PAGESIZE).close()
            if durable:
                disk.sync_file(descriptor)
                disk.rename(probe, renamed)
        finally:
            os.close(descriptor)
            for leftover in (probe, renamed):
                leftover.unlink(missing_ok=True)

    def exists(self) -> bool:
        """Return whether the file exists. Raises LedgerError if it can't be a ledger."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            if (wal := Path(f"{self.path}-wal")).exists():
                raise damaged(str(self.path), f"the file is missing, but {wal.name} exists") from None
            return False
        if stat.S_ISDIR(found.st_mode):
            raise LedgerError(f"the ledger {self.path} is a directory: name a file in it")
        if not stat.S_ISREG(found.st_mode):
            raise LedgerError(f"the ledger {self.path} is not a regular file: name one")
        if not found.st_size:
            raise damaged(str(self.path), "the file is empty")  # SQLite would treat it as new
        return True

    def identity(self) -> tuple[int, int] | None:
        """Return what tells the file from another one at the same path; None if there is none. Raises OSError."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def create(self, build: Callable[[Path], None]) -> None:
        """Call `build` with a temporary path, and rename the result to the ledger's path."""
        temporary = self.holders / "new.db"
        for leftover in self.holders.glob("new.db*"):
            leftover.unlink()
        os.close(disk.create_file(temporary, os.O_WRONLY, 0o600))
        build(temporary)
        wal = Path(f"{temporary}-wal")
        if (
            wal.exists() and wal.stat().st_size
        ):  # SQLite had no room to copy it when it closed the file, and says nothing
            raise LedgerError(
                f"the ledger {self.path} can't be created: the disk is full: free some space, then run again"
            )
        disk.rename(temporary, self.path)
        disk.sync_directory(self.holders)
