"""The table of `collector reconcile`, and its notes: what differs first."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, printable
from collector.cli.tables import add_name, new_table
from collector.core.comparison import Comparison, Row
from collector.core.summary import OrgSummary, RunSummary
from collector.model import Population
from collector.run.compared import compared, rows
from collector.run.manifest import local_spans

_GROUPS = 40  # populations without a difference, in the table
_NOTES = 60
_KEPT = "the larger numbers that were collected stay (`schedule.restate_for`, or the API may have deleted data)"


def comparison_table(console: Console, summary: RunSummary) -> Table:
    """Return a row for each number, below its org and population. It fits 80 columns."""
    table = new_table(console, "What the API says now, and what was collected")
    add_name(table, "org, population, product")
    for name in ("API", "collected", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    found = compared(summary)
    same = [one for one in found if not one[2].differs]
    for org, population, comparison in [one for one in found if one[2].differs] + same[:_GROUPS]:
        table.add_row(Text(f"{printable(org.org.name)} {population.value}", style="bold"))
        for row in rows(comparison):
            table.add_row(*_cells(row))
    if left := len(same[_GROUPS:]):
        table.add_row(Text(f"{left} more that don't differ", style="dim"))
    return table


def _cells(row: Row) -> tuple[Text, ...]:
    product, *path = row.metric
    name = ".".join(path).removeprefix("total_").removeprefix("extra.")
    style = "red" if row.difference else ""
    difference = f"{row.difference:+,}" if row.difference else "0"
    numbers = (f"{row.api:,}", f"{row.collected:,}", difference)
    return Text(f"  {printable(product)} {printable(name)}"), *(Text(number, style=style) for number in numbers)


def notes(summary: RunSummary) -> Iterator[Text]:
    """Yield what became of the differences, and which windows were not compared."""
    lines = [line for one in compared(summary) for line in _notes(*one)]
    for who, text in lines[:_NOTES]:
        yield Text.assemble((who, "bold"), f": {text}")
    if (more := len(lines) - _NOTES) > 0:
        yield Text(f"and {count(more, 'note')} more: --json has them", style="dim")


def _notes(org: OrgSummary, population: Population, comparison: Comparison) -> Iterator[tuple[str, str]]:
    who = f"{printable(org.org.name)} {population.value}"
    if comparison.restated.slices:
        yield who, f"{count(comparison.restated.slices, 'window')} restated: {local_spans(comparison.restated, org)}"
    if comparison.kept.slices:
        yield who, f"in {count(comparison.kept.slices, 'window')} {_KEPT}: {local_spans(comparison.kept, org)}"
    for state, extent in comparison.left_out.items():
        some = f"{count(extent.slices, 'window')} " if extent.slices else ""
        what = f"{some}not compared, {state.replace('_', ' ')}"
        yield who, f"{what}: {local_spans(extent, org)}"
