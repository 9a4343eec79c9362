"""The consoles on which tables and summaries are printed."""

from __future__ import annotations

import errno
import sys

from rich.console import Console

UNLIMITED = 100_000  # columns; tables only take what they need


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, so that the caller decides; rich would exit with 1."""
        raise BrokenPipeError(errno.EPIPE, "stdout's reader went away")


def stdout_console() -> Console:
    """Return the console for a command's own output: as wide as the terminal, else without a limit."""
    return _Console(width=None if sys.stdout is not None and sys.stdout.isatty() else UNLIMITED)


def stderr_console() -> Console:
    """Return the console for summaries, which go beside the data."""
    return _Console(stderr=True, width=None if sys.stderr.isatty() else UNLIMITED)
