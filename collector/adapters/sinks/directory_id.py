"""The id of an output directory, and how recovery finds the directory of an unsealed file by it.

A path doesn't identify a directory: each machine may have another disk there, and a disk may be mounted elsewhere
later, or copied. So a directory carries an id in a file of its own. Seals and removes no files of records.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from collector.adapters.sinks.directory import output_error
from collector.adapters.sinks.files import Files, OutputFiles
from collector.adapters.sinks.sealing import hidden, sealed_names
from collector.core.ledger_entries import UnsealedFile
from collector.errors import OutputError

ID_FILE = ".collector-output-id"
_ID = re.compile(rb"[0-9a-f]{32}")


def id_of(files: OutputFiles, directory: Path) -> str | None:
    """Return the id of a directory; None if it has no readable id."""
    with suppress(OSError):
        return _read(files, directory)
    return None


def _read(files: OutputFiles, directory: Path) -> str | None:
    """Return the id of a directory; None if it has none. Raises OSError."""
    content = (files.read(directory / ID_FILE) or b"").strip()
    return content.decode("ascii") if _ID.fullmatch(content) else None


def ensure_id(files: OutputFiles, directory: Path) -> str:
    """Return the id of a directory; create the directory and the id if they are missing. Raises OutputError."""
    path = directory / ID_FILE
    try:
        files.make_directory(directory)
        if (given := _read(files, directory)) is None:
            if files.size(path) is not None and _read(files, directory) is None:  # what it contains is no id
                files.remove(path)
            files.create_once(path, secrets.token_hex(16).encode() + b"\n")
            given = _read(files, directory)
    except OSError as error:
        raise output_error(directory, error) from error
    if given is None:
        raise OutputError(f"the output directory {directory} doesn't keep the file {ID_FILE}: check its file system")
    return given


@dataclass(frozen=True, slots=True)
class VisibleDirectories:
    """Finds a file's directory among those that this process sees: its own output, and the path it was written to.

    The own output comes first: it may be a copy of the other, and this ledger a copy of the other's.
    """

    files: Files
    own: Path | None

    def __call__(self, file: UnsealedFile) -> Path | None:
        """Return the directory of a file; None if this process doesn't see it, or the file is being written."""
        found = self._found(file)
        return None if found is None or is_being_written(hidden(found, file.name)) else found

    def _found(self, file: UnsealedFile) -> Path | None:
        written = Path(file.directory)
        if file.place is None:
            is_here = self.own is not None and self.own != written and _contains(self.files, self.own, file)
            return self.own if is_here else written
        directories = dict.fromkeys([*([self.own] if self.own else []), written])
        return next((one for one in directories if id_of(self.files, one) == file.place), None)


@dataclass(frozen=True, slots=True)
class OneDirectory:
    """Finds the files that belong to one directory, whatever its path was when they were written."""

    files: Files
    directory: Path

    def __call__(self, file: UnsealedFile) -> Path | None:
        """Return the directory if it contains the file or has the id in the file's row; else None."""
        unsealed = hidden(self.directory, file.name)
        belongs = file.place is not None and file.place == id_of(self.files, self.directory)
        is_here = belongs or _contains(self.files, self.directory, file)
        return self.directory if is_here and not is_being_written(unsealed) else None


def _contains(files: Files, directory: Path, file: UnsealedFile) -> bool:
    """Return whether a directory has a file: under its hidden name, or sealed if that was intended."""
    with suppress(OSError):
        if files.size(hidden(directory, file.name)) is not None:
            return True
        return file.seal_intended and bool(sealed_names(files, directory, file.name))
    return False


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
