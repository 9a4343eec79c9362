"""`collector export --format focus`: a dataset by FOCUS 1.2, as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import click
import structlog

from collector.adapters.tabular import Format
from collector.app.focus import FocusReader
from collector.cli.context import Context
from collector.cli.export_costs import prices_of, warn_of_prices
from collector.cli.export_notes import Seen
from collector.cli.export_output import Destination, write_table
from collector.core.columns import Column, Kind, Row
from collector.core.costs import LeftOut, Rounding
from collector.core.focus_columns import COLUMNS, as_text
from collector.core.periods import Period
from collector.core.present import PresentWindow
from collector.core.ranges import Between, Range
from collector.ledger import LedgerReader

log = structlog.get_logger("collector")
FOCUS = "focus"


def focus_destination(file: str | None) -> Destination:
    """Return where a dataset goes: as Parquet if the file ends so, else as CSV. Raises UsageError and ConfigError."""
    parquet = file is not None and file.lower().endswith(f".{Format.PARQUET}")
    if file is not None and not parquet and file != "-" and not file.lower().endswith(f".{Format.CSV}"):
        raise click.UsageError(
            "--format focus is CSV or Parquet: give a file that ends in .csv or .parquet, or leave out -o"
        )
    return Destination.of(Format.PARQUET if parquet else Format.CSV, file, at_terminal=False)


def billing_months(range_: Range | None) -> Period:
    """Return the months that a range is. Raises UsageError for any other range."""
    if isinstance(range_, Between) and range_.end is not None:
        first, last = range_.start.value, range_.end.value
        if not isinstance(first, datetime) and not isinstance(last, datetime) and first <= last:
            period = Period(first, last)
            if period.is_months:
                return period
    raise click.UsageError(
        "--format focus writes whole billing months: give the first and the last day, such as "
        "--from 2026-06-01 --to 2026-06-30"
    )


def write_focus(
    context: Context, ledger: LedgerReader, period: Period, products: tuple[str, ...], to: Destination, *, now: datetime
) -> None:
    """Write the dataset of billing months, and say what isn't in it."""
    prices = prices_of(context, "--format focus")
    seen, left = Seen(), LeftOut()

    def note(window: PresentWindow) -> None:
        seen.note(window, products)
        left.add(prices.cost_of(window, products))

    reader = FocusReader(ledger, context.config, context.scope, now=now, period=period, products=products, note=note)
    known_from = ledger.restatements_known_from()
    if known_from is not None and reader.since < known_from and reader.since < now:
        message = (
            f"restatements before {known_from:%Y-%m-%d %H:%M:%S} UTC are not all known: the ledger was migrated or "
            "restored then. A month that was closed before may have later numbers, and lack corrections"
        )
        log.warning("restatements.not_known", until=known_from.isoformat(), message=message)
    written = write_table(to, _columns(to), _rows(reader, to))
    if to.path is not None:
        log.info("export.written", file=str(to.path), rows=written)
    _tell_costs(reader.rounding, left, f"{period}", prices.currency)
    seen.warn_of_products(products)
    seen.warn_of_gone(reader.reader.not_wanted)


def _tell_costs(rounding: Rounding, left: LeftOut, period: str, currency: str) -> None:
    """Say what the rows are together, and what isn't in them."""
    message = f"the costs of {period} are together {rounding.total or 0:,} {currency}"
    if rounding.rest:
        message += f"; the rows lack {rounding.rest:f} of it, since a row has nine decimals"
    total, rest = str(rounding.total or 0), f"{rounding.rest:f}"
    log.info("costs.rounded", total=total, rounding=rest, currency=currency, message=message)
    if left.unknown:
        message = (
            f"the cost of {left.unknown} of {left.windows} windows is unknown, or known in part: what is unknown has "
            "no row. Export these months again when the windows are known: `collector export --unknown` lists them"
        )
        log.warning("costs.incomplete", windows=left.windows, unknown=left.unknown, message=message)
    warn_of_prices(left)


def _columns(to: Destination) -> Sequence[Column]:
    """Return the columns; CSV has instants as the specification writes them."""
    if to.form is Format.PARQUET:
        return COLUMNS
    return [one._replace(kind=Kind.TEXT) if one.kind is Kind.INSTANT else one for one in COLUMNS]


def _rows(reader: FocusReader, to: Destination) -> Iterator[Row]:
    return reader.rows() if to.form is Format.PARQUET else map(as_text, reader.rows())
