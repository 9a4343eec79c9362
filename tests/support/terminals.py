"""A command at a terminal of its own, as a person sits before it: what it shows, and what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.commands import environment, unmeasured
from tests.support.waiting import wait_until

CTRL_C = "\x03"
CTRL_D = "\x04"
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


class Terminal:
    """The side of the person."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.raw = ""
        self._descriptor = descriptor
        self._seen = 0

    @property
    def text(self) -> str:
        """All that was shown, without colours and movements."""
        self._read()
        return ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Type a text; a line ends with Enter (`\\n`)."""
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait until a text is shown after what was waited for before; return all that is new up to it."""
        wait_until(lambda: text in self.text[self._seen :], f"it shows {text!r}")
        before, self._seen = self._seen, self.text.index(text, self._seen) + len(text)
        return self.text[before : self._seen]

    def answer(self, question: str, answer: str) -> str:
        """Wait for a question and type an answer; return what was shown up to the question."""
        shown = self.wait_for(question)
        self.type(f"{answer}\n")
        return shown

    def press_until(self, key: str, shown: str) -> None:
        """Press a key until a text is shown, as a person does.

        Python loses a Ctrl-C that comes after a question was shown and before its readline waits for keys.
        """

        def press() -> None:
            with suppress(OSError):  # the command has ended
                self.type(key)

        wait_until(lambda: shown in self.text[self._seen :], f"it shows {shown!r}", nudge=press)

    def end(self) -> int:
        """Wait for the end of the command; return its exit code."""
        wait_until(self._has_ended, "it ends")
        self._read()
        return self.process.returncode

    def resize(self, *, rows: int, columns: int) -> None:
        """Give the window another size."""
        set_size(self._descriptor, rows=rows, columns=columns)

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    def _has_ended(self) -> bool:
        self._read()  # else it may wait for us
        return self.process.poll() is not None

    def _read(self) -> None:
        with suppress(OSError):  # nothing to read now, or the other end is closed
            while piece := os.read(self._descriptor, 65_536):
                self.raw += piece.decode(errors="replace")


def set_size(descriptor: int, *, rows: int, columns: int) -> None:
    """Set the size of a terminal's window."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def at_terminal(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    rows: int = 24,
    columns: int = 80,
    stdout: int | None = None,
) -> Iterator[Terminal]:
    """Start a command at a terminal that is its own; it is ended, whatever happens."""
    ours, theirs = pty.openpty()
    set_size(theirs, rows=rows, columns=columns)
    settings = unmeasured(environment(TERM="xterm-256color", **(env or {})))
    for size in ("COLUMNS", "LINES"):  # they would hold in place of the window's
        settings.pop(size, None)
    with subprocess.Popen(
        [*map(str, command)],
        cwd=cwd,
        env=settings,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C reaches it
    ) as process:
        os.close(theirs)
        os.set_blocking(ours, False)
        try:
            yield Terminal(process, ours)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(60)
            os.close(ours)
