"""A report as tables for people, which fit 80 columns. What is unknown stands beside each number."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, printable
from collector.cli.cells import (
    OPEN,
    add_numbers,
    add_texts,
    narrow_table,
    show_left,
    sum_texts,
    unknown_text,
    value_text,
)
from collector.cli.tables import add_name
from collector.core.grouping import By, Dimension
from collector.core.report import Line, Metric, Report, Unknown

_ROWS = 20
_ALL_ROWS = 1000  # of the table that was asked for
_MORE = "{} more: --by org shows them, and --csv has them all"
_UNKNOWN_MORE = "{} more: `collector export --unknown` lists each window"


def show_report(console: Console, report: Report) -> None:
    """Print a report: the total, then what was asked for, else usage by product, population, label and org."""
    console.print(Text(f"Usage {report.period}, compared with {report.before}", style="bold"))
    if report.by:
        _lines(console, report, report.by, report.lines, _ALL_ROWS)
    else:
        _lines(console, report, (Dimension(By.PRODUCT),), report.of_products)
        _lines(console, report, (Dimension(By.POPULATION),), report.populations)
        for key, lines in report.labels.items():
            _lines(console, report, (Dimension(By.LABEL, key),), lines)
        _lines(console, report, (Dimension(By.ORG),), report.orgs)
    _unknown(console, report.unknown)


def _lines(
    console: Console, report: Report, dimensions: Sequence[Dimension], lines: Sequence[Line], rows: int = _ROWS
) -> None:
    table = narrow_table(console)
    for one in dimensions:
        add_name(table, escape(printable(one.label or one.by.value)))
    add_numbers(table)
    compares = report.compares or lines is not report.lines
    if compares:
        table.add_column("change", justify="right", no_wrap=True)
    table.add_column("unknown", justify="right", no_wrap=True)
    for line in lines[:rows]:
        cells = [value_text(one, value) for one, value in zip(dimensions, line.key, strict=True)]
        _add(table, cells, line, report.metric if compares else None)
    table.add_section()
    _add(table, ["all", *[""] * (len(dimensions) - 1)], report.total, report.metric if compares else None, style="bold")
    console.print(table)
    show_left(console, max(0, len(lines) - rows), _MORE)


def _add(table: Table, cells: list[str], line: Line, metric: Metric | None, style: str = "") -> None:
    change = [] if metric is None else [change_text(line, metric)]
    add_texts(table, *cells, *sum_texts(line.now), *change, unknown_text(line.now), style=style)


def change_text(line: Line, metric: Metric) -> str:
    """Return a change in percent; with a tilde where unknown windows may alter it, `new` without a period before."""
    change = line.change(metric)
    if change is None:
        is_unknown = line.now.windows == line.now.unknown or line.before.windows == line.before.unknown
        return "new" if line.is_new and metric.of(line.now) else OPEN if is_unknown else ""
    about = "" if change.exact else "~"
    if change.ratio is None:
        return f"{about}{change.difference:+,}" if change.difference else f"{about}0"
    return f"{about}{change.ratio:+.1%}"


def _unknown(console: Console, unknown: Sequence[Unknown]) -> None:
    if not unknown:
        console.print("Every window is known.")
        return
    windows = sum(one.windows for one in unknown)
    table = narrow_table(console)
    add_name(table, "unknown")
    for name in ("population", "state", "first", "last"):
        table.add_column(name, no_wrap=True)
    table.add_column("windows", justify="right", no_wrap=True)
    for one in unknown[:_ROWS]:
        state = one.state.value.replace("_", " ")
        add_texts(
            table, printable(one.org), one.population.value, state, str(one.first), str(one.last), f"{one.windows:,}"
        )
    console.print(table)
    show_left(console, max(0, len(unknown) - _ROWS), _UNKNOWN_MORE)
    text = f"{count(windows, 'window')} of the period unknown, or known in part: no number of them is counted as zero"
    console.print(text, highlight=False)
