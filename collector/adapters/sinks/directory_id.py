"""The id of an output directory, and how recovery finds the directory of an unsealed file by it.

Where machines share a ledger, a path doesn't identify a directory: each machine may have another disk
there, and a disk may be mounted elsewhere later. So a directory carries an id in a file of its own.
Seals and removes no files of records.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from collector import disk
from collector.adapters.sinks.directory import hidden, output_error
from collector.core.ledger_entries import UnsealedFile
from collector.errors import OutputError

ID_FILE = ".collector-output-id"
_ID = re.compile(r"[0-9a-f]{32}")


def id_of(directory: Path) -> str | None:
    """Return the id of a directory; None if it has no readable id."""
    try:
        text = (directory / ID_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _ID.fullmatch(text) else None


def ensure_id(directory: Path) -> str:
    """Return the id of a directory; create the directory and the id if they are missing. Raises OutputError."""
    try:
        disk.make_directories(directory)
        return id_of(directory) or _create_id(directory)
    except OSError as error:
        raise output_error(directory, error) from error


def _create_id(directory: Path) -> str:
    """Write an id file atomically. If two processes do so at once, both get the id of the first."""
    path, temporary = directory / ID_FILE, hidden(directory, f"{ID_FILE.removeprefix('.')}-{secrets.token_hex(4)}")
    with os.fdopen(disk.create_file(temporary, os.O_WRONLY, 0o644), "w", encoding="ascii") as file:
        with suppress(OSError):  # the lock keeps other runs from removing it as abandoned
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(secrets.token_hex(16) + "\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            if id_of(directory) is None:  # the file contains no valid id
                temporary.replace(path)
        except OSError:  # a file system without links
            temporary.replace(path)
        temporary.unlink(missing_ok=True)
    disk.sync_directory(directory)
    given = id_of(directory)
    if given is None:
        raise OutputError(f"the output directory {directory} doesn't keep the file {ID_FILE}: check its file system")
    return given


@dataclass(frozen=True, slots=True)
class VisibleDirectories:
    """Finds a file's directory among those that this process sees: the path it was written to, and its own output."""

    own: Path | None

    def __call__(self, file: UnsealedFile) -> Path | None:
        """Return the directory of a file; None if this process doesn't see it, or the file is being written."""
        if file.place is None:
            found: Path | None = Path(file.directory)
        else:
            directories = [Path(file.directory), *([self.own] if self.own else [])]
            found = next((directory for directory in directories if id_of(directory) == file.place), None)
        return None if found is None or is_being_written(hidden(found, file.name)) else found


@dataclass(frozen=True, slots=True)
class OneDirectory:
    """Finds the files that belong to one directory, whatever its path was when they were written."""

    directory: Path

    def __call__(self, file: UnsealedFile) -> Path | None:
        """Return the directory if it contains the file or has the id in the file's row; else None."""
        unsealed = hidden(self.directory, file.name)
        exists = unsealed.exists() or (file.seal_intended and (self.directory / file.name).exists())
        belongs = file.place is not None and file.place == id_of(self.directory)
        return self.directory if (exists or belongs) and not is_being_written(unsealed) else None


def is_being_written(path: Path) -> bool:
    """Return whether a process of this machine has the file open for writing (`OsFiles` locks such files).

    The ledger may count that process as dead although it only lost its connection.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
