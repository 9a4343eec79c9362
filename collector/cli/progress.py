"""The progress bar: orgs, slices done, retries, failed, time left."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from collector.events import ApiDown, ApiUp, Event, LaneEnded, LanePlanned, RetryScheduled, SliceOutcome
from collector.model import SliceState

Watch = Callable[[Event], None]


@dataclass(slots=True)
class Board:
    """The numbers that the bar shows."""

    left: dict[str, int]
    planned: dict[str, int]
    done: int = 0
    retries: int = 0
    down: bool = False
    states: Counter[SliceState] = field(default_factory=Counter)

    @classmethod
    def of(cls, slices: Mapping[str, int]) -> Board:
        """Begin with all slices left."""
        planned = {org: n for org, n in slices.items() if n}
        return cls(left=dict(planned), planned=planned)

    def note(self, event: Event) -> None:
        """Count an event."""
        match event:
            case SliceOutcome():
                self.states[event.state] += 1
                self._end(event.slice.org.name, 1)
            case LaneEnded():
                self.states[event.state] += event.remaining
                self._end(event.org.name, event.remaining)
            case LanePlanned():
                self._plan(event.org.name, event.slices)
            case RetryScheduled():
                self.retries += 1
            case ApiDown():
                self.down = True
            case ApiUp():
                self.down = False
            case _:
                pass

    @property
    def text(self) -> str:
        """What stands behind the bar."""
        states = self.states
        parts = [f"{sum(not n for n in self.left.values())}/{len(self.left)} orgs", f"{self.retries} retries"]
        bad = {
            "partial": states[SliceState.PARTIAL],
            "failed": states[SliceState.FAILED] + states[SliceState.NOT_ASKED],
            "refused": states[SliceState.REFUSED],
        }
        parts += [f"[red]{n} {name}[/]" for name, n in bad.items() if n]
        if self.down:
            parts.append("[red bold]API down, probing[/]")
        return " · ".join(parts)

    @property
    def total(self) -> int:
        """How many slices are planned, as far as is known."""
        return sum(self.planned.values())

    def _plan(self, org: str, slices: int) -> None:
        self.left[org] = self.left.get(org, 0) + slices - self.planned.get(org, 0)
        self.planned[org] = slices

    def _end(self, org: str, slices: int) -> None:
        self.done += slices
        self.left[org] = max(0, self.left[org] - slices)


@contextmanager
def shown_progress(slices: Mapping[str, int], *, mode: str, quiet: bool, watch: Watch) -> Iterator[Watch]:
    """Yield what to tell of events: `watch`, and the bar if there is one. On stderr, and only on a terminal.

    `slices` is how many are planned of each org, as far as is known.
    """
    if quiet or mode == "never" or (mode == "auto" and not sys.stderr.isatty()):
        yield watch
        return
    board = Board.of(slices)
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
        task = bar.add_task("", total=board.total, text=board.text)

        def tell(event: Event) -> None:
            watch(event)
            board.note(event)
            bar.update(task, total=board.total, completed=board.done, text=board.text)

        yield tell
