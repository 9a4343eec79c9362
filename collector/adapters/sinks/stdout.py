"""Records on stdout: whole lines, at least once, as JSON Lines or CSV.

What is compressed is a whole for each batch: such wholes one behind the other are a valid stream. Lines are written in
pieces that a pipe accepts without blocking, so a slow reader can't block a shutdown.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Sequence
from contextlib import suppress

from collector.adapters.sinks.converting import PLAIN, csv_of
from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.sinks.without_files import WithoutFiles
from collector.adapters.tabular.compression import compress
from collector.core.layout import Layout, RecordFormat
from collector.errors import OutputError, ReaderGoneError
from collector.model import Record

_PIECE = select.PIPE_BUF  # a writable pipe accepts this many bytes without blocking (POSIX)
_CHECK_EVERY_S = 0.25
_headed: set[tuple[int, int]] = (
    set()
)  # the streams to which this process has written a CSV's names: by device and inode


def is_terminal(fd: int = 1) -> bool:
    """Return whether a descriptor, by default stdout, is a terminal."""
    with suppress(OSError):
        return os.isatty(fd)
    return False


class StdoutSink(WithoutFiles):
    """Writes to a file descriptor, by default the process's stdout. It has no files and seals nothing."""

    def __init__(self, fd: int = 1, *, layout: Layout = PLAIN) -> None:
        self._fd = fd
        self._layout = layout
        self._abandoned = False

    def append(self, records: Sequence[Record]) -> None:
        """Write whole lines; return when they are written."""
        self._write(self._encoded(to_lines(records)))

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        try:
            while rest:
                _, writable, _ = select.select([], [self._fd], [], _CHECK_EVERY_S)
                if self._abandoned:
                    raise OutputError("stdout's reader stopped reading, and the run had to end")
                if writable:
                    with suppress(BlockingIOError):
                        rest = rest[os.write(self._fd, rest[:_PIECE]) :]
        except (OSError, ValueError) as error:
            self._cut_torn_line(lines[: len(lines) - len(rest)])
            raise _failure(error) from error

    def abandon(self) -> None:
        """Stop waiting for a reader."""
        self._abandoned = True

    def _encoded(self, lines: bytes) -> bytes:
        if self._layout.format is RecordFormat.CSV:
            lines = csv_of(lines, self._layout.labels, names=self._needs_names())
        return compress(lines, self._layout.compression)

    def _needs_names(self) -> bool:
        """Return whether the stream has no line of names yet: neither this process nor another one wrote any."""
        try:
            found = os.fstat(self._fd)
        except OSError:
            return True  # writing says what is wrong
        if stat.S_ISREG(found.st_mode):
            return not found.st_size
        stream = found.st_dev, found.st_ino
        is_new = stream not in _headed
        _headed.add(stream)
        return is_new

    def _cut_torn_line(self, written: bytes) -> None:
        """Remove the incomplete last line that a full disk left, if stdout is a file.

        Of other formats all that was just written is removed: an end of a line may stand within a text.
        """
        kept = written.rfind(b"\n") + 1 if self._layout.is_plain else 0
        torn = len(written) - kept
        with suppress(OSError):
            if torn and stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR) - torn)


def _failure(error: OSError | ValueError) -> OutputError:
    if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ECONNRESET):
        return ReaderGoneError("stdout's reader went away")
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "it is not open"
    return OutputError(f"stdout can't be written: {reason}")
