"""Records on stdout: whole lines, at least once.

Written in pieces that a pipe takes without blocking, so that a reader who is slow doesn't
stop a shutdown.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Sequence
from contextlib import suppress

from collector.adapters.sinks.jsonl import to_lines
from collector.errors import OutputError
from collector.model import Record
from collector.ports import SealedFile

_PIECE = select.PIPE_BUF  # a pipe that is writable takes so many bytes at once (POSIX)
_LOOK_UP_S = 0.25


class StdoutSink:
    """Writes to a file descriptor, by default the process's stdout. It has no files, and nothing to seal."""

    full = False
    written = (0, 0)

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._abandoned = False

    def next_name(self) -> str | None:
        """Begin no file."""
        return None

    def append(self, records: Sequence[Record]) -> None:
        """Write whole lines; return when they are written."""
        lines = to_lines(records)
        rest = memoryview(lines)
        try:
            while rest:
                _, writable, _ = select.select([], [self._fd], [], _LOOK_UP_S)
                if self._abandoned:
                    raise OutputError("stdout's reader took nothing more before the run had to end")
                if writable:
                    with suppress(BlockingIOError):
                        rest = rest[os.write(self._fd, rest[:_PIECE]) :]
        except (OSError, ValueError) as error:
            self._cut_torn_line(lines[: len(lines) - len(rest)])
            raise OutputError(_reason(error)) from error

    def sync(self) -> None:
        """Do nothing: what is written is written."""

    def close_file(self) -> SealedFile | None:
        """End no file."""
        return None

    def publish(self, file: SealedFile) -> None:
        """Do nothing."""
        del file

    def write_manifest(self, manifest: bytes) -> None:
        """Keep no manifest: stdout is for records alone."""
        del manifest

    def discard(self) -> None:
        """Do nothing: what is written is written."""

    def abandon(self) -> None:
        """Stop waiting for a reader."""
        self._abandoned = True

    def close(self) -> None:
        """Do nothing: stdout is the process's."""

    def _cut_torn_line(self, written: bytes) -> None:
        """Take back the part of a line that a full disk left, where stdout is a file."""
        torn = len(written) - (written.rfind(b"\n") + 1)
        with suppress(OSError):
            if torn and stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR) - torn)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ECONNRESET):
        return "stdout's reader went away"
    text = os.strerror(error.errno or 0) if isinstance(error, OSError) else "it is not open"
    return f"stdout can't be written: {text}"
