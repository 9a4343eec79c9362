"""Records on stdout: whole lines, at least once.

Writes happen in a thread of their own, in pieces that a pipe takes without blocking, so
that a reader who is slow stops neither the event loop nor a shutdown.
"""

from __future__ import annotations

import errno
import os
import select
from asyncio import get_running_loop
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from collector.adapters.sinks.jsonl import to_lines
from collector.errors import OutputError
from collector.model import Record
from collector.ports import SealedFile

_PIECE = select.PIPE_BUF  # a pipe that is writable takes so many bytes at once (POSIX)
_LOOK_UP_S = 0.25


class StdoutSink:
    """Writes to a file descriptor, by default the process's stdout."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._abandoned = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stdout")

    async def write(self, records: Sequence[Record]) -> None:
        """Write whole lines; return when they are written."""
        await get_running_loop().run_in_executor(self._thread, self._write, records)

    async def seal(self) -> tuple[SealedFile, ...]:
        """Do nothing: what is written is written."""
        return ()

    async def finish(self, manifest: bytes) -> None:
        """Keep no manifest: stdout is for records alone."""
        del manifest
        self._thread.shutdown(wait=False)

    async def abandon(self) -> None:
        """Stop waiting for a reader."""
        self._abandoned = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _write(self, records: Sequence[Record]) -> None:
        rest = memoryview(to_lines(records))
        try:
            while rest:
                _, writable, _ = select.select([], [self._fd], [], _LOOK_UP_S)
                if self._abandoned:
                    raise OutputError("stdout's reader took nothing more before the run had to end")
                if writable:
                    with suppress(BlockingIOError):
                        rest = rest[os.write(self._fd, rest[:_PIECE]) :]
        except OSError as error:
            raise OutputError(_reason(error)) from error


def _reason(error: OSError) -> str:
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return "stdout's reader went away"
    return f"stdout can't be written: {os.strerror(error.errno or 0)}"
