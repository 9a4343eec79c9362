"""Cells of tables with numbers, for people: an unknown number is a question mark, never zero."""

from __future__ import annotations

from fractions import Fraction

from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, printable
from collector.cli.tables import new_table
from collector.core.costs import rounded
from collector.core.grouping import By, Dimension, Sum

_MORE = "{} more: write them to a file with -o, or sum with --by"
OPEN = "?"  # a number that isn't known


def narrow_table(console: Console) -> Table:
    """Return an empty table that takes little room between its columns."""
    table = new_table(console)
    if table.box is not None:
        table.padding = (0, 0)  # the box has a column between two others
    return table


def add_texts(table: Table, *cells: str, style: str = "") -> None:
    """Add a row of texts as they are: brackets in a name are no markup."""
    table.add_row(*map(Text, cells), style=style)


def add_numbers(table: Table) -> None:
    """Add the columns of the numbers that add up."""
    for name in ("tests", "duration", "screenshots"):
        table.add_column(name, justify="right", no_wrap=True)


def show_left(console: Console, left: int, more: str = _MORE) -> None:
    """Print how many rows are left out."""
    if left:
        console.print(more.format(count(left, "row")), markup=False, highlight=False)


def sum_texts(total: Sum) -> list[str]:
    """Return the numbers of a sum; a question mark where none is known."""
    unknown = total.windows > 0 and total.windows == total.unknown
    numbers = (total.tests, total.duration, total.screenshots)
    return [number_text(value, known=not unknown) for value in numbers]


def number_text(value: int | None, *, known: bool) -> str:
    """Return a number. One that isn't there is a question mark, or nothing if the product has none."""
    if value is None:
        return "" if known else OPEN
    return f"{value:,}"


def money_text(amount: Fraction | None, decimals: int, *, known: bool) -> str:
    """Return an amount, rounded; a question mark if it is not known, nothing if there is none."""
    if amount is None:
        return "" if known else OPEN
    return f"{rounded(amount, decimals):,}"


def unknown_text(total: Sum) -> str:
    """Return how many windows of a sum are unknown; empty if none is."""
    return f"{total.unknown:,} of {total.windows:,}" if total.unknown else ""


def difference_text(before: int | None, now: int | None) -> str:
    """Return a difference with its sign; a question mark if a number is not known."""
    return OPEN if before is None or now is None else f"{now - before:+,}"


def value_text(one: Dimension, value: object) -> str:
    """Return the value of a dimension."""
    if value is None:
        return "-"
    return str(value)[:7] if one.by is By.MONTH else printable(str(value))
