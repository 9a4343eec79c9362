"""The standard streams. A broken stderr never stops a run, and neither does one that nobody reads.

Logs are best effort: a full disk behind stderr, a log reader that went away or reads nothing, costs no
record. If a standard stream is closed at the start, its number is occupied: otherwise the next
file that is opened would get that number, and records or logs would go into it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from collector.adapters.queued_stream import QueuedStream

_STDERR = 2


def guard_streams() -> None:
    """Make the standard streams safe to use; call it once, before anything is opened."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _occupy(number)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it stays open
    if not isinstance(sys.stderr, QueuedStream):
        sys.stderr = QueuedStream(sys.stderr, _STDERR)
    if sys.stdout is not None:
        with suppress(AttributeError):  # a stream that a test has put there
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def never_wait_for_stderr() -> None:
    """Drop lines at once if stderr's reader is too slow: a service has to answer, whoever reads its log."""
    if isinstance(sys.stderr, QueuedStream):
        sys.stderr.patience_s = 0.0


def drain_stderr() -> None:
    """Wait until stderr is written, as long as somebody reads it. Call it at the end of the process."""
    if isinstance(sys.stderr, QueuedStream):
        sys.stderr.drain()


def forget_stdout() -> None:
    """Keep the interpreter from flushing into a broken stdout again when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _occupy(number: int) -> None:
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
