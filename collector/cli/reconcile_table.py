"""The table of `collector reconcile`, and its notes: what differs first."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, printable
from collector.cli.tables import add_name, new_table
from collector.core.comparing import NO_ANSWER
from collector.core.comparison import Comparison, Row
from collector.core.extent import Extent
from collector.core.summary import OrgSummary, RunSummary
from collector.model import Granularity, Population
from collector.run.compared import compared, rows, unresolved, why_not
from collector.run.manifest import local_spans

_GROUPS = 40  # populations without a difference, and as many that were not compared, in the table
_NOTES = 60
_KEPT = "the larger numbers that were collected stay (`schedule.restate_for`, or the API may have deleted data)"


def comparison_table(console: Console, summary: RunSummary) -> Table:
    """Return a row for each number, below its org and population. It fits 80 columns."""
    table = new_table(console, "What the API says now, and what was collected")
    table.show_edge, table.padding = False, (0, 1 if table.box else 2, 0, 0)  # large numbers need the room
    add_name(table, "org, population, product")
    for name in ("API", "collected", "difference", "changed"):
        table.add_column(name, justify="right", no_wrap=True)
    found = compared(summary)
    differing = [one for one in found if one[2].differs]
    unknown = [one for one in found if not one[2].differs and not one[2].windows]
    same = [one for one in found if not one[2].differs and one[2].windows]
    for one in [*differing, *unknown[:_GROUPS], *same[:_GROUPS]]:
        for row in _rows(*one):
            table.add_row(*row)
    for left, what in ((unknown, "that were not compared"), (same, "that don't differ")):
        if more := len(left[_GROUPS:]):
            table.add_row(Text(f"{more} more {what}", style="dim"))
    return table


def _rows(org: OrgSummary, population: Population, comparison: Comparison) -> Iterator[tuple[Text, ...]]:
    """Yield the rows of a population. One without numbers says why there are none."""
    yield (Text(f"{printable(org.org.name)} {population.value}", style="bold"),)
    for row in rows(comparison):
        yield _cells(row, org.org.granularity)
    if not comparison.windows:
        reasons = ", ".join(map(_spaced, why_not(org, population, comparison)))
        yield (Text(f"  not compared: {reasons}", style="yellow"),)
    elif not comparison.rows:
        yield (Text("  no usage", style="dim"),)


def _cells(row: Row, granularity: Granularity) -> tuple[Text, ...]:
    product, *path = row.metric
    name = ".".join(path).removeprefix("total_").removeprefix("extra.")
    style = "red" if row.changed else ""
    difference = f"{row.difference:+,}" if row.difference else "0"
    changed = f"{row.changed}{'+' * row.more} {granularity.value}{'s' * (row.changed != 1 or row.more)}"
    numbers = (f"{row.api:,}", f"{row.collected:,}", difference, changed if row.changed else "")
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
    for code, (extent, _) in why_not(org, population, comparison).items():
        yield who, f"{_windows(extent)}not compared, {_spaced(code)}{_where(extent, org)}"
    for code, (extent, _) in unresolved(org, population).items():
        yield who, f"{_windows(extent)}changed in part, unknown which, {_spaced(code)}{_where(extent, org)}"


def _windows(extent: Extent) -> str:
    return f"{count(extent.slices, 'window')} " if extent.slices else ""


def _where(extent: Extent, org: OrgSummary) -> str:
    return f": {spans}" if (spans := local_spans(extent, org)) else ""


def _spaced(code: str) -> str:
    return "no whole answer" if code == NO_ANSWER.code else code.replace("_", " ")
