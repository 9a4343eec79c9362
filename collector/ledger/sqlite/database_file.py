"""Where a SQLite ledger lies: its file, and beside it the directory of the locks of those who use it.

Owns the first look at a file, before SQLite gets to it, and its birth: a new ledger is built
aside and renamed when it is whole, so that a kill at any point leaves none or all of it. Never
opens a ledger: closing it again would drop the locks of this process's other handles.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.errors import LedgerError
from collector.ledger.sqlite.failures import damaged

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """The path of a ledger, through all links: whoever shares it meets at the same locks."""

    path: Path

    @classmethod
    def of(cls, url: str) -> Place:
        """Return the place that a `sqlite:///` URL names; the message of an error shows nothing of the URL."""
        scheme, _, rest = url.partition("://")
        path = rest.removeprefix("/")  # as it is: SQLAlchemy's versions don't agree on what a % in it means
        if scheme != "sqlite" or not path or path == rest or path.startswith((":memory:", "file:")):
            raise LedgerError("the ledger's URL names no file: sqlite:///path/to/file.db does")
        return cls(Path(path).resolve())

    @property
    def holders(self) -> Path:
        """The directory of locks."""
        return self.path.with_name(f"{self.path.name}.holders")

    def prepare(self) -> None:
        """Make the directories, for this user only."""
        missing = [self.holders]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for directory in reversed(missing):
            directory.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def alone(self, *, patience_s: float) -> Iterator[None]:
        """Keep other processes from creating or migrating at the same time; free again with the process."""
        lock = os.open(self.holders / "open.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            tries = round(patience_s / _POLL_S)
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if tries <= 0:
                        raise LedgerError(
                            f"the ledger {self.path} can't be opened: another process is creating or migrating it"
                        ) from None
                tries -= 1
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(lock)

    def exists(self) -> bool:
        """Say whether there is a ledger to open. Raises LedgerError if what is there can't be one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            if (wal := Path(f"{self.path}-wal")).exists():
                raise damaged(str(self.path), f"it is gone, while {wal.name} is still there") from None
            return False
        if stat.S_ISDIR(found.st_mode):
            raise LedgerError(f"the ledger {self.path} is a directory: name a file in it")
        if not stat.S_ISREG(found.st_mode):
            raise LedgerError(f"the ledger {self.path} is no file: name one")
        if not found.st_size:
            raise damaged(str(self.path), "it is empty")  # SQLite would take it for a new one
        return True

    def create(self, build: Callable[[Path], None]) -> None:
        """Let a new ledger be built aside, and put it in its place."""
        aside = self.holders / "new.db"
        for rest in self.holders.glob("new.db*"):
            rest.unlink()
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        build(aside)
        aside.rename(self.path)
        for directory in (self.path.parent, self.holders):
            descriptor = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
