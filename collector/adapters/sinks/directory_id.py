"""Where files lie that a process left: a directory is known again by an id that it carries itself.

On machines that share a ledger a path tells nothing: each may have another disk under it, and a
disk may be mounted elsewhere by now. Looks at directories; seals and removes nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from collector.adapters.sinks.directory import hidden
from collector.adapters.sinks.files import sync_directory
from collector.core.ledger_entries import UnsealedFile
from collector.errors import OutputError

ID_FILE = ".collector-output-id"
_ID = re.compile(r"[0-9a-f]{32}")


def id_of(directory: Path) -> str | None:
    """Return the id of a directory, None if it has none that can be read."""
    try:
        text = (directory / ID_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _ID.fullmatch(text) else None


def mark(directory: Path) -> str:
    """Return the id of a directory; one without gets one, durably. Raises OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return id_of(directory) or _give_id(directory)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise OutputError(f"the output directory {directory} can't be written: {reason}") from error


def _give_id(directory: Path) -> str:
    """Put an id there as a whole; of two processes that do so at once, one is first."""
    path, aside = directory / ID_FILE, directory / f"{ID_FILE}.{secrets.token_hex(4)}"
    with aside.open("x", encoding="ascii") as file:
        file.write(secrets.token_hex(16) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        if id_of(directory) is None:  # it isn't an id
            aside.replace(path)
    except OSError:  # a file system without links
        aside.replace(path)
    aside.unlink(missing_ok=True)
    sync_directory(directory)
    given = id_of(directory)
    if given is None:
        raise OutputError(f"the output directory {directory} doesn't keep what is written to it")
    return given


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Finds the files that this process sees: in the directories that they were written to, and in its own."""

    own: Path | None

    def __call__(self, file: UnsealedFile) -> Path | None:
        """Return the directory that a file lies in, None if it isn't one that this process sees."""
        if file.place is None:
            found: Path | None = Path(file.directory)
        else:
            directories = [Path(file.directory), *([self.own] if self.own else [])]
            found = next((directory for directory in directories if id_of(directory) == file.place), None)
        return None if found is None or is_being_written(hidden(found, file.name)) else found


@dataclass(frozen=True, slots=True)
class Within:
    """Finds the files that lie in one directory, whatever its path was when they were written."""

    directory: Path

    def __call__(self, file: UnsealedFile) -> Path | None:
        """Return the directory, if a file lies in it or should: by its id, or since it is there."""
        unsealed = hidden(self.directory, file.name)
        there = unsealed.exists() or (file.seal_intended and (self.directory / file.name).exists())
        belongs = file.place is not None and file.place == id_of(self.directory)
        return self.directory if (there or belongs) and not is_being_written(unsealed) else None


def is_being_written(path: Path) -> bool:
    """Say whether a living process of this machine has the file open to write to it (`OsFiles` locks what it writes).

    Its ledger may have taken it for dead while it only lost its connection.
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
