"""The progress bar: orgs, slices done, retries, failed, time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from collector.cli.colours import COLOURS
from collector.events import Event, Listener, all_of
from collector.run.progress import Progress as Counted

_BETWEEN = " · "
_BAR = 8  # columns
_AROUND = _BAR + len(" 1:00:00 left · ") + 2  # columns, without the numbers of slices


def _text(progress: Counted, width: int) -> str:
    """Return the text behind the bar, the most important first: as much as fits beside the numbers of slices."""
    parts = [(f"{host} is down, probing", "red bold") for host in sorted(progress.hosts_down)]
    bad = {"refused": progress.refused, "failed": progress.failed, "partial": progress.partial}
    parts += [(f"{n} {name}", COLOURS[name]) for name, n in bad.items() if n]
    parts.append((f"{progress.orgs_done}/{progress.orgs} orgs", ""))
    parts.append((f"{progress.retries} {'retry' if progress.retries == 1 else 'retries'}", ""))
    room = width - _AROUND - len(f"{progress.total}/{progress.total}")
    texts: list[str] = []
    for text, style in parts:
        room -= len(text) + len(_BETWEEN)
        if texts and room < 0:
            break
        texts.append(f"[{style}]{escape(text)}[/]" if style else text)
    return _BETWEEN.join(texts)


@contextmanager
def shown_progress(*, mode: str, quiet: bool, watch: Listener) -> Iterator[Listener]:
    """Yield a listener: `watch`, and the progress bar if there is one. It is on stderr, and only on a terminal."""
    if quiet or mode == "never" or (mode == "auto" and not sys.stderr.isatty()):
        yield watch
        return
    counted = Counted()
    console = Console(stderr=True, force_terminal=True if mode == "always" else None)
    bar = Progress(
        BarColumn(bar_width=_BAR),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("left ·", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[text]}", table_column=Column()),  # the one that may be folded
        console=console,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task("", total=counted.total, text=_text(counted, console.width))

        def update(_: Event) -> None:
            bar.update(task, total=counted.total, completed=counted.done, text=_text(counted, console.width))

        yield all_of(watch, counted.note, update)
