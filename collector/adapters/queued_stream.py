"""stderr as a bounded queue with a thread that writes it. So a log that nobody reads stops nothing.

Owns the order of what is written, and the count of what is dropped. Whoever writes never waits for a reader, except
in a command that ends (`patience_s`): there a slow reader gets everything, and only one that reads nothing loses text.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

LONGEST = 4 * 2**20  # bytes that may wait
PATIENCE_S = 5.0
_AT_ONCE = 2**16  # bytes: what a pipe holds, so that a slow reader is seen to go on


class QueuedStream:
    """A text stream that writes to a descriptor from a thread. `dropped` gives the line that reports lost lines.

    `lines_dropped` is the number of all lines that were lost since the start.
    """

    def __init__(
        self, stream: TextIO, descriptor: int, *, longest: int = LONGEST, patience_s: float = PATIENCE_S
    ) -> None:
        self.patience_s = patience_s
        self.lines_dropped = 0
        self.dropped: Callable[[int], str] = "{} lines of the log were dropped\n".format
        self._stream = stream
        self._descriptor = descriptor
        self._encoding = stream.encoding or "utf-8"
        self._longest = longest
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes that wait, or are being written
        self._written = 0  # bytes, since the start: it shows whether somebody reads
        self._lost = 0  # lines, not reported yet
        self._stuck = False  # nothing was read for `patience_s`
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Put a text into the queue. If the queue is full, and nobody reads, count it as dropped."""
        data = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._size + len(data) > self._longest and not self._waited(lambda: self._fits(data)):
                self._lose(text.count("\n"))
            elif data:
                self._waiting.append(data)
                self._size += len(data)
                self._start()
                self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes as soon as it can."""

    def drain(self) -> None:
        """Wait until everything is written, or nothing was read for `PATIENCE_S`. Call it at the end of the process."""
        with self._changed:
            self.patience_s, self._stuck = PATIENCE_S, False
            self._waited(lambda: not self._size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _fits(self, data: bytes) -> bool:
        return self._size + len(data) <= self._longest or not self._size

    def _waited(self, done: Callable[[], bool]) -> bool:
        """Wait while the reader goes on; return whether it is done. Don't wait for a reader that has stood still."""
        while not done():
            written = self._written
            if self._stuck or not self._changed.wait_for(lambda: self._written != written, self.patience_s):  # noqa: B023
                self._stuck = True
                return False
        return True

    def _lose(self, lines: int) -> None:
        self._lost += lines
        self.lines_dropped += lines

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
            self._thread.start()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data = b"".join(self._waiting)
                self._waiting.clear()
                lost, self._lost = self._lost, 0
            report = self.dropped(lost).encode(self._encoding, "backslashreplace") if lost else b""
            with self._changed:
                self._size += len(report)
            for start in range(0, len(data), _AT_ONCE):
                self._write(data[start : start + _AT_ONCE])
            if report:  # the lost lines came after all that waited
                self._write(report, reports=lost)

    def _write(self, data: bytes, *, reports: int = 0) -> None:
        """Write all of it, or count its lines as lost; those that it reports are reported again."""
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # another process made it non-blocking
                    poll = select.poll()
                    poll.register(self._descriptor, select.POLLOUT)
                    poll.poll()
        except OSError:  # a full disk, or the reader is gone
            pass
        with self._changed:
            self._size -= len(data)
            self._written += len(data)
            if rest and reports:
                self._lost += reports
            elif rest:
                self._lose(bytes(rest).count(b"\n"))
            self._stuck = False
            self._changed.notify_all()
