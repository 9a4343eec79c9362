"""`collector status --watch`: the status on a terminal, drawn again in place until Ctrl-C."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from types import FrameType

import click
from rich.cells import cell_len
from rich.console import Console

from collector.adapters.clock import SystemClock
from collector.adapters.text import printable
from collector.cli.status_reading import Status, StatusReading
from collector.core.exit_codes import ExitCode
from collector.core.org_coverage import gaps_of
from collector.errors import LedgerError

Show = Callable[[Console, Status, int | None], None]  # with the most orgs that are of use

_LOOK_S = 0.25  # for another size of the window
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_HOME, _TO_END_OF_LINE, _TO_END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_MORE = "… more: in a taller window, or with --incomplete, --org or --label"
_NO_TERMINAL = (
    "--watch draws on a terminal, and stdout is none. A script reads `collector status --json` as often as it needs"
)


def refuse_to_watch_without_terminal(console: Console) -> None:
    """Raise UsageError if stdout is no terminal on which lines can be drawn again."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and console.is_terminal
    if not is_terminal or console.is_dumb_terminal:
        raise click.UsageError(_NO_TERMINAL)


def watch(reading: StatusReading, show: Show, console: Console, *, every_s: float) -> int:
    """Draw the status again and again; at Ctrl-C print it once more below, and return its exit code.

    A ledger that can't be read by then is no reason to end: what was read before stays. Raises LedgerError for the
    first read.
    """
    status = reading.read()
    with _ending_at_sigterm() as terminated, console.screen(hide_cursor=True):
        trouble: str | None = None
        try:
            while True:
                heading = partial(heading_of, status, SystemClock().now(), every_s, trouble)
                _draw(console, status, show, heading, every_s)
                try:
                    status, trouble = reading.read(), None
                except LedgerError as error:
                    trouble = printable(str(error), console.width)
        except KeyboardInterrupt:
            pass
    show(console, status, None)
    return ExitCode.TERMINATED if terminated.is_set() else status.exit_code


def _draw(console: Console, status: Status, show: Show, heading: Callable[[int], str], pause_s: float) -> None:
    """Draw, and wait. Where the window gets another size meanwhile, draw once more."""
    drawn, pause = None, threading.Event()
    while pause_s > 0:
        if console.size != drawn:
            drawn = console.size
            with console.capture() as captured:
                text = heading(drawn.width)
                console.print(text, style="bold", markup=False, highlight=False, no_wrap=True, overflow="ellipsis")
                show(console, status, drawn.height)
            lines = fitting(captured.get().removesuffix("\n").split("\n"), width=drawn.width, height=drawn.height)
            console.file.write(in_place(lines, width=drawn.width))
            console.file.flush()
        pause.wait(min(_LOOK_S, pause_s))
        pause_s -= _LOOK_S


def in_place(lines: list[str], *, width: int) -> str:
    """Return what draws lines over those of before, without a moment at which the screen is empty.

    What was to the right is erased after a line, unless it fills its rows: the cursor is then on its last character.
    """
    filled = [line if (cells := _cells(line)) and cells % width == 0 else line + _TO_END_OF_LINE for line in lines]
    return _HOME + "\n".join([*filled[:-1], _TO_END_OF_SCREEN + filled[-1]])


def _cells(line: str) -> int:
    return cell_len(_ESCAPE.sub("", line))


def fitting(lines: list[str], *, width: int, height: int) -> list[str]:
    """Return the first lines that fit a window; if some don't, the last one says so."""
    rows = [max(1, -(-_cells(line) // width)) for line in lines]
    if sum(rows) <= height:
        return lines
    shown = 0
    while sum(rows[: shown + 1]) <= height - 1:
        shown += 1
    return [*lines[:shown], _MORE[:width]]


def heading_of(status: Status, now: datetime, every_s: float, trouble: str | None, width: int) -> str:
    """Return what stands above the status; in a narrow window, what counts comes first."""
    if trouble is not None:
        return f"not read again at {now:%H:%M:%S} UTC: {trouble}"
    what = "there is no ledger" if status.known is None else str(gaps_of(status.orgs))
    whole = f"{now:%Y-%m-%d %H:%M:%S} UTC, every {every_s:g} s; Ctrl-C ends · {what}"
    return whole if len(whole) <= width else f"{what} · Ctrl-C ends · {now:%H:%M:%S}"


@contextmanager
def _ending_at_sigterm() -> Iterator[threading.Event]:
    """End at SIGTERM as at Ctrl-C, so that the terminal is left as it was. Yield whether that happened."""
    terminated = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        terminated.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, before)
