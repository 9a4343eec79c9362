"""A look at whether the output can be used: cheap, and it writes nothing. It may hang where a network mount does."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from collector import disk
from collector.adapters.sinks.directory_id import ID_FILE, id_of
from collector.adapters.sinks.files import OsFiles
from collector.adapters.sinks.outbox import OutboxPlace
from collector.errors import OutputError

STDOUT = "-"
_AFRESH_S = 20.0  # after a look at a place that succeeded: each costs a request


class OutputLook:
    """Looks at one output, again and again. A directory that was there must stay. A run creates one that never was."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._seen = False
        self._files = OsFiles()
        self._id: str | None = None

    def __call__(self) -> None:
        """Return if the directory is there and can be written. Raises OutputError."""
        if self._output == STDOUT:
            return
        directory = Path(self._output).absolute()
        try:
            there = next(path for path in (directory, *directory.parents) if path.exists())
            is_directory = there.is_dir()
        except OSError as error:
            raise OutputError(f"the output directory {self._output} can't be used: {disk.reason_of(error)}") from error
        if there == directory:
            self._seen = True
            given = id_of(self._files, directory)
            if self._id not in {None, given}:
                raise OutputError(
                    f"the output directory {self._output} was replaced by another one: mount the disk, or move it back"
                )
            self._id = given
        elif self._seen:
            raise OutputError(
                f"the output directory {self._output} is gone: move it back, or mount its disk. "
                "Until then a run is refused (exit code 5)"
            )
        if not is_directory or not os.access(there, os.W_OK | os.X_OK):
            number = errno.EACCES if is_directory else errno.ENOTDIR
            raise OutputError(f"the output directory {self._output} can't be written: {os.strerror(number)}: {there}")

    def close(self) -> None:
        """Do nothing: nothing is kept."""


class PlaceLook:
    """Looks at an object store or a table: whether its id can be read, and is the one that was there before."""

    def __init__(self, open_: Callable[[], OutboxPlace]) -> None:
        self._open = open_
        self._place: OutboxPlace | None = None
        self._id: str | None = None
        self._succeeded_at: float | None = None

    def __call__(self) -> None:
        """Return if the place answers. Raises OutputError. A success is good for some seconds."""
        if self._succeeded_at is not None and time.monotonic() - self._succeeded_at < _AFRESH_S:
            return
        self._succeeded_at = None
        place = self._place = self._place or self._open()
        given = place.files.read(place.path / ID_FILE)
        found = None if given is None else given.decode("ascii", "replace").strip()
        if self._id not in {None, found}:
            raise OutputError(
                f"the output {place.path} was replaced, or its object {ID_FILE} removed: it isn't the one of before"
            )
        self._id = found
        self._succeeded_at = time.monotonic()

    def close(self) -> None:
        """End what was opened."""
        place, self._place = self._place, None
        if place is not None:
            place.close()
