"""A report as tables for people, which fit 80 columns. What is unknown stands beside each number."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from collector.adapters.text import count, printable
from collector.cli.cells import (
    OPEN,
    add_texts,
    money_text,
    narrow_table,
    number_text,
    show_left,
    sum_texts,
    unknown_text,
    value_text,
)
from collector.cli.tables import add_name
from collector.core.budgets import LEVELS, BudgetStanding
from collector.core.costs import rounded
from collector.core.grouping import By, Dimension
from collector.core.report import Line, Number, Report, Unknown, rounding
from collector.core.report_rows import amount_text

_ROWS = 20
_NOTE = 300  # characters
_NOT_PRICED = "*"  # behind a cost
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
    _budgets(console, report.budgets)
    if report.prices and (missing := cost_notes(report)):
        console.print(Text("; ".join(missing)))
    _unknown(console, report)


def _budgets(console: Console, budgets: Sequence[BudgetStanding]) -> None:
    if not budgets:
        return
    table = narrow_table(console)
    add_name(table, f"budget of {budgets[0].month.first:%Y-%m}")
    for name in ("amount", "used", "forecast", "unknown"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in budgets:
        amount, used, forecast = (
            budget_text(value, one) for value in (Fraction(one.budget.amount), one.used, one.forecast)
        )
        at_least = "≥" if one.is_at_least and one.forecast is not None else ""
        cells = [amount, used, at_least + forecast, f"{one.unknown:,} of {one.windows:,}" if one.unknown else ""]
        add_texts(table, printable(one.budget.name), *cells, LEVELS[one.level])
    console.print(table)
    for one in budgets:
        for note in one.notes:
            console.print(Text(printable(f"{one.budget.name}: {note}", _NOTE)))


def budget_text(value: Fraction | None, one: BudgetStanding) -> str:
    """Return an amount of a budget; a question mark if it is not known."""
    text = amount_text(value, one)
    return OPEN if text is None else f"{Decimal(text):,}"


def cost_notes(report: Report) -> list[str]:
    """Return what the costs leave out."""
    cost = report.total.now.cost
    notes = []
    if cost.windows_unknown:
        notes.append(f"{count(cost.windows_unknown, 'window')} of unknown cost: in no amount, and never 0")
    if cost.windows_not_priced:
        notes.append(
            f"{count(cost.windows_not_priced, 'window')} with usage without a price ({_NOT_PRICED}): in no amount"
        )
    return notes


def _lines(
    console: Console, report: Report, dimensions: Sequence[Dimension], lines: Sequence[Line], rows: int = _ROWS
) -> None:
    table = narrow_table(console)
    for one in dimensions:
        add_name(table, escape(printable(one.label or one.by.value)))
    compares = report.compares or lines is not report.lines
    names = ["tests", f"cost ({report.prices.currency})"] if report.prices else ["tests", "duration", "screenshots"]
    change = f"change of {report.metric}" if report.prices else "change"
    for name in [*names, *([change] if compares else []), "unknown"]:
        table.add_column(name, justify="right", no_wrap=True)

    def add(cells: list[str], line: Line, style: str = "") -> None:
        change = [change_text(line, report)] if compares else []
        add_texts(table, *cells, *_numbers(line, report), *change, unknown_text(line.now), style=style)

    for line in lines[:rows]:
        add([value_text(one, value) for one, value in zip(dimensions, line.key, strict=True)], line)
    table.add_section()
    rest = [""] * (len(dimensions) - 1)
    if report.prices and (left := rounding(report, lines)):
        add_texts(table, "rounding", *rest, "", f"{left:+,}")
    add(["all", *rest], report.total, style="bold")
    console.print(table)
    show_left(console, max(0, len(lines) - rows), _MORE)


def _numbers(line: Line, report: Report) -> list[str]:
    """Return the numbers of a line. With costs there is no room for all of them."""
    if not report.prices:
        return sum_texts(line.now)
    known = not 0 < line.now.windows == line.now.unknown
    cost = money_text(line.now.cost.amount, report.prices.decimals, known=known)
    cost += _NOT_PRICED if line.now.cost.windows_not_priced else ""
    return [number_text(line.now.tests, known=known), cost]


def change_text(line: Line, report: Report) -> str:
    """Return a change in percent; with a tilde where unknown windows may alter it, `new` without a period before."""
    metric = report.metric
    change = line.change(metric)
    if change is None:
        is_unknown = line.now.windows == line.now.unknown or line.before.windows == line.before.unknown
        return "new" if line.is_new and metric.of(line.now) else OPEN if is_unknown else ""
    about = "" if change.exact else "~"
    if change.ratio is None:
        return about + (number_of(change.difference, report, signed=True) if change.difference else "0")
    return f"{about}{change.ratio:+.1%}"


def number_of(value: Number, report: Report, *, signed: bool = False) -> str:
    """Return a number of the report's metric."""
    shown = rounded(value, report.prices.decimals) if isinstance(value, Fraction) else value
    return f"{shown:+,}" if signed else f"{shown:,}"


def _unknown(console: Console, report: Report) -> None:
    if report.is_whole:
        console.print("Every window of the period is known.")
        return
    unknown = report.unknown
    table = narrow_table(console)
    add_name(table, "unknown")
    for name in ("population", "why", "first", "last"):
        table.add_column(name, no_wrap=True)
    table.add_column("windows", justify="right", no_wrap=True)
    for one in unknown[:_ROWS]:
        days = (str(one.first), str(one.last))
        add_texts(table, printable(one.org), one.population.value, why_text(one), *days, f"{one.windows:,}")
    if unknown:
        console.print(table)
        show_left(console, max(0, len(unknown) - _ROWS), _UNKNOWN_MORE)
        windows = count(report.total.now.unknown, "window")
        text = f"{windows} of the period unknown, or known in part: no number of them is counted as zero"
        console.print(text, highlight=False)
    if report.not_wanted:
        console.print(not_wanted_text(report), highlight=False, markup=False)
    if not report.total.now.windows and not report.not_wanted:
        console.print("No window begins in the period.")


def why_text(one: Unknown) -> str:
    """Return why windows are unknown: their state, or its reason where that says more."""
    if one.reason is not None and one.reason.startswith("refused"):
        return one.reason.replace("_", " ")
    return one.state.value.replace("_", " ")


def not_wanted_text(report: Report) -> str:
    """Return how much of the period nobody ever collected, and what to do about it."""
    left, orgs = report.windows_not_wanted, len(report.not_wanted)
    whole = left + report.total.now.windows
    return (
        f"{left:,} of {whole:,} windows of the period were never collected, of {count(orgs, 'org')}: they are in no "
        "number, and not counted as unknown. A `backfill` fetches them, as far as `since` permits"
    )
