"""A look at whether the output can be used: cheap, and it writes nothing. It may hang where a network mount does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from collector import disk
from collector.adapters.sinks.directory_id import id_of
from collector.adapters.sinks.files import OsFiles
from collector.errors import OutputError

STDOUT = "-"


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
