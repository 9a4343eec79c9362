"""What the ledger and the output need of a file system, and why a file can't be used.

There are file systems that can't do what a disk does: network mounts, FUSE, shared folders of virtual machines. So
each ability is tried before anything is requested, in the directory that needs it. The ledger needs all of them, the
output those of SYNC, SYNC_DIRECTORY and RENAME.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

WRITABLE = "make the file and its directory readable and writable for this user"
_UNSUPPORTED = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.ENODEV, errno.ENOTTY}
)


class Ability(StrEnum):
    """What a file system must be able to do; the text continues "its file system can't …"."""

    LOCK = "lock files (flock)"
    LOCK_PARTS = "lock parts of files (fcntl)"
    SHARE_MEMORY = "share memory between processes (mmap)"
    SYNC = "make the content of files durable (fsync)"
    SYNC_DIRECTORY = "make the names of files durable (fsync of a directory)"
    RENAME = "rename files"


class UnsupportedError(OSError):
    """The file system can't do this at all: neither space nor permission nor another try would help."""

    def __init__(self, ability: Ability, error: OSError) -> None:
        super().__init__(error.errno, error.strerror)
        self.ability = ability


@contextmanager
def needs(ability: Ability) -> Iterator[None]:
    """Raise UnsupportedError if an operation fails because the file system can't do it."""
    try:
        yield
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            raise UnsupportedError(ability, error) from error
        raise


def sync_file(descriptor: int) -> None:
    """Make the content of a file durable. Raises OSError."""
    with needs(Ability.SYNC):
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with needs(Ability.SYNC_DIRECTORY):
            os.fsync(directory)
    finally:
        os.close(directory)


def rename(old: Path, new: Path) -> None:
    """Rename within a directory, durably. Raises OSError."""
    with needs(Ability.RENAME):
        old.rename(new)
    sync_directory(new.parent)


def reason_of(error: OSError) -> str:
    """Return why a file can't be used, with the file if that is known, and what to do about permissions."""
    reason = os.strerror(error.errno or 0)
    if isinstance(error, UnsupportedError):
        return f"its file system can't {error.ability} ({reason}): use another file system, such as a local disk"
    if not error.filename:
        return reason
    path = Path(os.fsdecode(error.filename))
    if not isinstance(error, PermissionError):
        return f"{reason}: {path}"
    return f"{reason}: {path} ({_owner_of(path)}this process is user {os.geteuid()}): {WRITABLE}"


def _owner_of(path: Path) -> str:
    with suppress(OSError):
        return f"it belongs to user {path.stat().st_uid}, "
    return ""
