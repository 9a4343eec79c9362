"""Tables: boxes that fit a terminal, and plain text of any width everywhere else."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from collector.cli.consoles import UNLIMITED

_NAME = 30  # columns of a terminal for a name; longer ones are folded


def new_table(console: Console, title: str | None = None) -> Table:
    """Return an empty table. In a file or a pipe it has no lines, and nothing in it is cut or folded."""
    if console.width < UNLIMITED:
        return Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))


def add_name(table: Table, header: str) -> None:
    """Add a column for names, which may be long."""
    table.add_column(header, overflow="fold", max_width=_NAME if table.box else None)
