"""The progress bar: orgs, slices done, retries, failed, time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from collector.events import Event, Listener, all_of
from collector.run.progress import Progress as Counted


def _text(progress: Counted) -> str:
    """Return the text behind the bar."""
    orgs = f"{progress.orgs_done}/{progress.orgs} orgs"
    parts = [orgs, f"{progress.retries} retries"]
    bad = {"partial": progress.partial, "failed": progress.failed, "refused": progress.refused}
    parts += [f"[red]{n} {name}[/]" for name, n in bad.items() if n]
    if progress.api_down:
        parts.append("[red bold]API down, probing[/]")
    return " · ".join(parts)


@contextmanager
def shown_progress(*, mode: str, quiet: bool, watch: Listener) -> Iterator[Listener]:
    """Yield a listener: `watch`, and the progress bar if there is one. It is on stderr, and only on a terminal."""
    if quiet or mode == "never" or (mode == "auto" and not sys.stderr.isatty()):
        yield watch
        return
    counted = Counted()
    console = Console(stderr=True, force_terminal=True if mode == "always" else None)
    bar = Progress(
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left ·"),
        TextColumn("{task.fields[text]}"),
        console=console,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task("", total=counted.total, text=_text(counted))

        def update(_: Event) -> None:
            bar.update(task, total=counted.total, completed=counted.done, text=_text(counted))

        yield all_of(watch, counted.note, update)
