"""Real files, for the ledger and the output alike: whose they are, what a file system must be able to do.

What root creates gets the owner of the directory it is in. So root may run a command beside a service of another
user, and the service can use all files afterwards. Only what this process has just created is given away, never a
file that was there before: it may be a link that someone has put there.

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

_RACES = 10
_LONGEST_STEM = 200  # bytes of a name that a hidden name has: file systems take 255
WRITABLE = "make the file and its directory readable and writable for this user"
NO_HOME = "begins with `~`, and there is no such home directory: write the whole path, or `./~…` if it is called so"
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


def open_file(path: Path, flags: int, mode: int) -> int:
    """Open a file, and create it if it is missing; return its descriptor. Raises OSError."""
    flags |= os.O_CLOEXEC
    for _ in range(_RACES):
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):  # another process created it in between
            return create_file(path, flags, mode)
    return os.open(path, flags)  # a link to nothing


def create_file(path: Path, flags: int, mode: int) -> int:
    """Create a file that doesn't exist yet; return its descriptor. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    give(descriptor, like=path.parent)
    return descriptor


def draft_of(path: Path, mark: str) -> Path:
    """Return the hidden name under which a file is written until it is whole: cut where it would be too long."""
    return path.with_name(f"{draft_prefix(path)}{mark}")


def draft_prefix(path: Path) -> str:
    """Return how the hidden names of a file begin."""
    name = os.fsencode(path.name)
    if len(name) > _LONGEST_STEM:
        name = name[:_LONGEST_STEM].decode(errors="ignore").encode()
    return f".{os.fsdecode(name)}."


def make_directories(path: Path, mode: int, *, like: Path | None = None) -> list[Path]:
    """Create a directory and its parents; return those that were missing, the outermost first. Raises OSError.

    The last one gets the owner of `like`, if given.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    made = []
    for directory in reversed(missing):
        try:
            directory.mkdir(mode)
        except FileExistsError:
            if not directory.is_dir():
                raise
            continue
        made.append(directory)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            give(descriptor, like=like if like and directory == path else directory.parent)
        finally:
            os.close(descriptor)
    return made


def give(descriptor: int, *, like: Path) -> None:
    """Give a file that this process has just created the owner of another path, where that is possible."""
    if os.geteuid() == 0:
        owner = like.stat()
        with suppress(OSError):  # a root without that right, as in a container, or a file system without owners
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


class HomeError(ValueError):
    """A path begins with `~`, and that home directory isn't known. The message continues a sentence; it has no path."""


def at_home(path: str) -> str:
    """Return a path with the home directory in place of a leading `~` or `~user`, as in a shell. Raises HomeError."""
    if not path.startswith("~"):
        return path
    home = os.path.expanduser(path.partition("/")[0])  # noqa: PTH111 - Path's leaves out why
    if home.startswith("~") or not os.environ.get("HOME", "/").startswith("/"):
        raise HomeError(NO_HOME)
    return os.path.join(home, path.partition("/")[2].lstrip("/")) if "/" in path else home  # noqa: PTH118
