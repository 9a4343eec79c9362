"""The few things that are done to files, each as durable as it says: what a simulated disk replaces."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Files by path. Every method raises OSError."""

    def make_directory(self, path: Path) -> None:
        """Make a directory, and those above it; no error if it exists."""
        ...

    def append(self, path: Path, content: bytes) -> None:
        """Write behind what is there; a file that isn't there is created."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to that many bytes, durably."""
        ...

    def sync(self, path: Path) -> None:
        """Make a file durable: its content, and its name if it is new."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Rename within a directory, durably."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it isn't there."""
        ...

    def is_directory(self, path: Path) -> bool:
        """Say whether a directory is there."""
        ...

    def size(self, path: Path) -> int | None:
        """Return a file's size, None if it isn't there."""
        ...

    def close(self) -> None:
        """Let go of every file, as it is."""
        ...


class OsFiles:
    """The operating system's."""

    def __init__(self) -> None:
        self._open: tuple[Path, int] | None = None
        self._new = False  # whether the name of the open file is not durable yet

    def make_directory(self, path: Path) -> None:
        """Make a directory, and those above it, durably: a file in it is no more durable than it is."""
        missing = [directory for directory in (path, *path.parents) if not directory.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for made in missing:
            sync_directory(made.parent)

    def append(self, path: Path, content: bytes) -> None:
        """Write without a buffer: one that holds what a full disk refused would fail again on close."""
        rest = memoryview(content)
        descriptor = self._descriptor(path)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to that many bytes, durably."""
        self._close(path)
        os.truncate(path, size)
        self.sync(path)

    def sync(self, path: Path) -> None:
        """Make a file durable. A synced file whose directory was not may be gone after a loss of power (fsync(2))."""
        os.fsync(self._descriptor(path))
        if self._new:
            sync_directory(path.parent)
            self._new = False

    def rename(self, old: Path, new: Path) -> None:
        """Rename, and make the directory's new entries durable."""
        self._close(old)
        old.rename(new)
        sync_directory(new.parent)

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it isn't there."""
        self._close(path)
        path.unlink(missing_ok=True)

    def is_directory(self, path: Path) -> bool:
        """Say whether a directory is there."""
        return os.path.isdir(path)  # noqa: PTH112 - `Path.is_dir` raises for a disk that is broken

    def size(self, path: Path) -> int | None:
        """Return a file's size, None if it isn't there."""
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Let go of the file that is being written, as it is."""
        self._close()

    def _descriptor(self, path: Path) -> int:
        if self._open is None or self._open[0] != path:
            self._close()
            self._new = not path.exists()
            self._open = (path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644))
            with suppress(OSError):  # not every file system has locks; they only tell others that we live
                fcntl.flock(self._open[1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._open[1]

    def _close(self, path: Path | None = None) -> None:
        if self._open is not None and path in (None, self._open[0]):
            descriptor = self._open[1]
            self._open = None
            os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make durable which files a directory has."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
