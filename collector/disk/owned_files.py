"""Files and directories that are created: each gets the owner of the directory it is in.

So root may run a command beside a service of another user, and the service can use all files afterwards.
A process that isn't root can't give files away: what it creates is its own. Only what this process has just
created is given away, never a file that was there before: it may be a link that someone has put there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def open_file(path: Path, flags: int, mode: int) -> int:
    """Open a file, and create it if it is missing; return its descriptor. Raises OSError."""
    flags |= os.O_CLOEXEC
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):  # another process created it in between
            return create_file(path, flags, mode)


def create_file(path: Path, flags: int, mode: int) -> int:
    """Create a file that doesn't exist yet; return its descriptor. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    give(descriptor, like=path.parent)
    return descriptor


def make_directories(path: Path, mode: int = 0o777, *, like: Path | None = None) -> list[Path]:
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
