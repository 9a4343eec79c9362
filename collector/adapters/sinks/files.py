"""The file operations of the output, each with its durability. Simulations replace them with a simulated disk."""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from collector import disk

SORTED = ".sorted-"  # the beginning of the name of a scratch file, where a file system can't do without one
_PIECE = 1 << 20
_DIRECTORY, _FILE = 0o750, 0o640  # the records name customers; a umask may take more away


class OutputFiles(Protocol):
    """How an output is marked as a ledger's, listed and read, by paths. Every method raises OSError."""

    def make_directory(self, path: Path) -> None:
        """Create a directory and its parents; no error if it exists."""
        ...

    def append(self, path: Path, content: bytes) -> None:
        """Append to a file; create it if it is missing. Raises FileNotFoundError if it went away after that."""
        ...

    def create_once(self, path: Path, content: bytes) -> None:
        """Create a file with all of its content, durably, unless it exists. Of two processes, both see one content."""
        ...

    def sync(self, path: Path) -> None:
        """Make a file durable: its content, and its directory entry if it is new."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it is missing."""
        ...

    def is_directory(self, path: Path) -> bool:
        """Return whether a path is an existing directory."""
        ...

    def size(self, path: Path) -> int | None:
        """Return the size of a regular file; None if there is none."""
        ...

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory; none if it doesn't exist."""
        ...

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None if it is missing."""
        ...


class Files(OutputFiles, Protocol):
    """File operations by path. Every method raises OSError, unless it says otherwise."""

    def create(self, path: Path) -> BinaryIO:
        """Return a stream into a new file; its `close` makes it durable. Raises FileExistsError if there is one."""
        ...

    def scratch(self, directory: Path) -> BinaryIO:
        """Return an empty file without a name, which is gone when it is closed."""
        ...

    def pieces(self, path: Path) -> Iterator[bytes]:
        """Yield the content of a file in pieces."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to that many bytes, durably."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Rename within a directory, durably."""
        ...

    def sync_names(self, directory: Path) -> None:
        """Make the names in a directory durable."""
        ...

    def remove_abandoned(self, path: Path) -> None:
        """Remove a file that no process has open; leave it if that can't be told. Raises nothing."""
        ...

    def close(self) -> None:
        """Close every open file, without a sync."""
        ...


class _Durable(io.FileIO):
    """A new file that is durable once it is closed: its content, and its name."""

    def __init__(self, path: Path) -> None:
        super().__init__(disk.create_file(path, os.O_WRONLY | os.O_NOFOLLOW, _FILE), "wb")
        self._path = path

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        size = len(rest)
        while rest:
            rest = rest[super().write(rest) or 0 :]
        return size

    def close(self) -> None:
        if self.closed:
            return
        try:
            disk.sync_file(self.fileno())
        finally:
            super().close()
        disk.sync_directory(self._path.parent)


class OsFiles:
    """The file operations of the operating system."""

    def __init__(self) -> None:
        self._open: tuple[Path, int] | None = None
        self._new = False  # whether the directory entry of the open file is not durable yet

    def make_directory(self, path: Path) -> None:
        """Create a directory and its parents, durably: a file is lost with a directory that isn't durable."""
        for made in disk.make_directories(path, _DIRECTORY):
            disk.sync_directory(made.parent)

    def append(self, path: Path, content: bytes) -> None:
        """Append without a buffer: after a full disk, flushing a buffer on close would fail again."""
        rest = memoryview(content)
        descriptor = self._descriptor(path)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        path.stat()  # a file that was removed, or moved with its directory, can still be written

    def create_once(self, path: Path, content: bytes) -> None:
        """Create a file under a hidden name, then link it: a link never replaces what is there."""
        name = f".{path.name.removeprefix('.')}-{secrets.token_hex(4)}.unsealed"
        temporary = path.with_name(name)
        with os.fdopen(disk.create_file(temporary, os.O_WRONLY, _FILE), "wb") as file:
            with suppress(OSError):  # the lock keeps other runs from removing it as abandoned
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                if not path.exists():
                    temporary.replace(path)
            temporary.unlink(missing_ok=True)
        disk.sync_directory(path.parent)

    def create(self, path: Path) -> BinaryIO:
        """Create a file; the file that `append` has open stays open, and locked."""
        return _Durable(path)

    def scratch(self, directory: Path) -> BinaryIO:
        """Create it beside the records, where there is space for them."""
        return cast("BinaryIO", tempfile.TemporaryFile(dir=directory, prefix=SORTED, suffix=".unsealed"))

    def pieces(self, path: Path) -> Iterator[bytes]:
        """Read without a lock: this process may have it."""
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to that many bytes, durably."""
        os.ftruncate(self._descriptor(path), size)
        self.sync(path)

    def sync(self, path: Path) -> None:
        """Make a file durable. Its directory is synced too: else a power cut may remove a synced file (fsync(2))."""
        disk.sync_file(self._descriptor(path))
        if self._new:
            disk.sync_directory(path.parent)
            self._new = False

    def rename(self, old: Path, new: Path) -> None:
        """Rename, and sync the directory; the lock is held until the file has its new name."""
        try:
            disk.rename(old, new)
        finally:
            self._close(old)

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it is missing."""
        self._close(path)
        path.unlink(missing_ok=True)

    def sync_names(self, directory: Path) -> None:
        """Make the names in a directory durable."""
        disk.sync_directory(directory)

    def remove_abandoned(self, path: Path) -> None:
        """Remove a file that no process has open: the lock shows it. A file system without locks keeps the file."""
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)

    def is_directory(self, path: Path) -> bool:
        """Return whether a path is an existing directory."""
        return os.path.isdir(path)  # noqa: PTH112 - `Path.is_dir` raises on a broken disk

    def size(self, path: Path) -> int | None:
        """Return the size of a regular file; None if there is none."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory; none if it doesn't exist."""
        try:
            return os.listdir(path)  # noqa: PTH208 - names, without a path for each
        except FileNotFoundError:
            return []

    def read(self, path: Path) -> bytes | None:
        """Return the content of a regular file; None if there is none: a reader may have moved it."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for a writer
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None

    def close(self) -> None:
        """Close the open file, without a sync."""
        self._close()

    def _descriptor(self, path: Path) -> int:
        if self._open is None or self._open[0] != path:
            self._close()
            self._new = not path.exists()
            descriptor = self._open_locked(path)
            if self._new and not path.exists():  # another process took it for abandoned before it was locked
                self._close()
                descriptor = self._open_locked(path)
            return descriptor
        return self._open[1]

    def _open_locked(self, path: Path) -> int:
        # Never through a link: another user may have put one there, to a file that only this user can write.
        descriptor = disk.open_file(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, _FILE)
        self._open = (path, descriptor)
        # The lock shows other processes that the file is being written. Some file systems have no locks.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor

    def _close(self, path: Path | None = None) -> None:
        if self._open is not None and path in (None, self._open[0]):
            descriptor = self._open[1]
            self._open = None
            os.close(descriptor)
