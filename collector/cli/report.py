"""`collector report`: usage in a period and what changed, as tables, JSON, CSV, or a page with charts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import orjson
import structlog
from rich.progress import Progress, TextColumn

from collector.adapters.clock import SystemClock
from collector.adapters.replaced_files import refuse_as_file, replacing
from collector.adapters.report import page_of
from collector.adapters.tabular import Format
from collector.adapters.text import some
from collector.app.report import read_report
from collector.cli.consoles import stderr_console, stdout_console
from collector.cli.context import Context, open_context, read_range
from collector.cli.export_costs import prices_of
from collector.cli.export_output import Destination, write_table
from collector.cli.reading import open_ledger, refuse_unknown_labels, warn_of_unconfirmed
from collector.cli.report_tables import not_wanted_text, show_report
from collector.core.costs import rounded
from collector.core.grouping import By, Dimension, parse_dimensions
from collector.core.ranges import Moment, Range
from collector.core.report import Metric, Report, rounding
from collector.core.report_rows import document, line_columns, line_rows
from collector.core.visible import visible

log = structlog.get_logger("collector")
_NAMED = 5
_BY_DEFAULT = (Dimension(By.ORG), Dimension(By.POPULATION), Dimension(By.PRODUCT))  # of the CSV


def report(
    from_: Moment | None,
    to: Moment | None,
    last: timedelta | None,
    products: tuple[str, ...],
    by: tuple[str, ...],
    metric: str,
    costs: bool,
    as_json: bool,
    as_csv: bool,
    html: str | None,
    orgs: tuple[str, ...],
    **options: Any,
) -> int:
    """Do what `collector report` is called for; return the exit code."""
    if as_json + as_csv + (html is not None) > 1:
        raise click.UsageError("give one of --json, --csv and --html")
    try:
        dimensions = parse_dimensions(by)
    except ValueError as error:
        raise click.UsageError(f"--by: {error}") from None
    page = None if html is None else _Page.of(html)
    context = open_context(**options, sharded=True, sends=False)
    context = replace(context, scope=replace(context.scope, orgs=orgs))
    refuse_unknown_labels(dimensions, context.config.orgs)
    costs = costs or metric == Metric.COST
    if costs:
        prices_of(context, "--costs")
    found = _read(
        context,
        read_range(from_, to, last),
        by=_BY_DEFAULT if as_csv and not dimensions else dimensions,
        products=tuple(dict.fromkeys(products)),
        metric=Metric(metric),
        costs=costs,
    )
    in_table = not (as_json or as_csv or page is not None)
    if not in_table:
        _note_unknown(found)  # tables say so themselves
    _note(found, in_table=in_table)
    _note_cut(found, to)
    if as_json:
        click.echo(visible(orjson.dumps(document(found), option=orjson.OPT_INDENT_2)))
    elif as_csv:
        write_table(Destination(Format.CSV, None), line_columns(found), line_rows(found))
        _note_rounding(found)
    elif page is not None:
        page.write(found)
    else:
        show_report(stdout_console(), found)
    return 0


def _read(context: Context, range_: Range | None, **what: Any) -> Report:
    ledger = open_ledger(context, "report")
    try:
        warn_of_unconfirmed(context, ledger)
        with _progress(quiet=context.quiet) as read:
            now = SystemClock().now()
            return read_report(ledger, context.config, context.scope, range_, **what, now=now, read=read)
    finally:
        ledger.close()


@dataclass(frozen=True, slots=True)
class _Page:
    """Where the page goes; None is stdout."""

    path: Path | None

    @classmethod
    def of(cls, given: str) -> _Page:
        """Return what the option means. Raises ConfigError for a file that can't be written anew."""
        if given == "-":
            return cls(None)
        refuse_as_file(Path(given))
        return cls(Path(given))

    def write(self, found: Report) -> None:
        """Write the page. Raises OutputError, and MissingExtraError if what draws the charts is missing."""
        text = page_of(found)
        if self.path is None:
            sys.stdout.buffer.write(text)
            return
        with replacing(self.path) as stream:
            stream.write(text)
        log.info("report.written", file=str(self.path), bytes=len(text))


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many windows were read: a year of hundreds of orgs takes some time."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    with Progress(TextColumn("{task.completed:,.0f} windows read"), console=stderr_console(), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda windows: bar.advance(task, windows)


def _note_unknown(found: Report) -> None:
    """Log how much is in no number."""
    if found.total.now.unknown:
        message = (
            f"{found.total.now.unknown} of {found.total.now.windows} windows are unknown, or known in part: no number "
            "of them is counted as zero. `collector export --unknown` lists them"
        )
        log.warning(
            "windows.unknown", windows=found.total.now.windows, unknown=found.total.now.unknown, message=message
        )
    if (cost := found.total.now.cost).windows_not_priced:
        message = f"{cost.windows_not_priced} windows have usage without a price: it is in no cost, and never costs 0"
        log.warning("windows.not_priced", windows=cost.windows_not_priced, message=message)


def _note(found: Report, *, in_table: bool) -> None:
    """Log what else the numbers leave out."""
    known = [str(line.key[0]) for line in found.of_products]
    if new := [one for one in found.products if one not in known]:
        names = f"the products are {some(sorted(known), 9)}" if known else "no window has any"
        log.warning("products.unknown", message=f"no record is of {', '.join(map(repr, new))}: {names}")
    if found.not_wanted and not in_table:
        log.warning("windows.not_wanted", windows=found.windows_not_wanted, message=not_wanted_text(found))
    if found.gone:
        message = f"no longer in the config: {some(found.gone, _NAMED)}. Their numbers are here, without labels"
        log.warning("orgs.gone", orgs=len(found.gone), message=message)
    if found.extra:
        log.info("metrics.not_summed", message="numbers that the API added later (`extra`) are not summed")


def _note_cut(found: Report, to: Moment | None) -> None:
    """Log that the period ends before the day that was given."""
    if to is not None and str(to.value)[:10] > str(found.period.last):
        message = f"the period ends with {found.period.last}: it is the last day that is due for all orgs"
        log.info("range.changed", message=message)


def _note_rounding(found: Report) -> None:
    """Log what the rounded costs of lines lack of their total."""
    amount = found.total.now.cost.amount
    if found.prices and amount is not None and (left := rounding(found, found.lines)):
        total, currency = rounded(amount, found.prices.decimals), found.prices.currency
        message = f"the total is {total} {currency}: the rounded lines lack {left}"
        log.info("costs.rounded", total=str(total), rounding=str(left), currency=currency, message=message)
