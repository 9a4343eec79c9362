"""`collector export`: what the ledger knows now, as a table, CSV, JSON Lines, Parquet or a workbook."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
import structlog

from collector.adapters.clock import SystemClock
from collector.app.present import PresentReader
from collector.app.range_notes import export_notes
from collector.cli.consoles import stdout_console
from collector.cli.context import Context, open_context, read_range
from collector.cli.export_costs import ExportCosts, prices_of
from collector.cli.export_focus import FOCUS, billing_months, focus_destination, write_focus
from collector.cli.export_notes import Seen
from collector.cli.export_output import Destination, write_table
from collector.cli.export_since import changes_since, note_sums
from collector.cli.export_tables import changed_table, group_table, record_table, unknown_table
from collector.cli.reading import open_ledger, refuse_unknown_labels, warn_of_unconfirmed
from collector.core.columns import Column, Row
from collector.core.export_rows import (
    GROUP_COSTS,
    RECORD_COSTS,
    RECORDS,
    RESTATED,
    UNKNOWN,
    group_columns,
    group_row,
    record_row,
    restated_row,
    unknown_row,
)
from collector.core.grouping import (
    NO_PRICES,
    Dimension,
    Groups,
    groups_of,
    order,
    parse_dimensions,
    parts,
    refuse_undivided,
)
from collector.core.present import PresentWindow, RestatedRecord, records_of
from collector.core.ranges import Moment, Range
from collector.core.restated_sums import RestatedSums
from collector.ledger import LedgerReader

log = structlog.get_logger("collector")
_NAMED = 5


def export(
    from_: Moment | None,
    to: Moment | None,
    last: timedelta | None,
    products: tuple[str, ...],
    by: tuple[str, ...],
    unknown: bool,
    changed_since: str | None,
    costs: bool,
    format_: str | None,
    file: str | None,
    orgs: tuple[str, ...],
    **options: Any,
) -> int:
    """Do what `collector export` is called for; return the exit code."""
    if bool(by) + unknown + (changed_since is not None) > 1:
        raise click.UsageError("give one of --by, --unknown and --changed-since: each shows something else")
    if costs and (unknown or changed_since is not None):
        raise click.UsageError("--costs is for records and for --by: leave out --unknown and --changed-since")
    focus = format_ == FOCUS
    if focus and (bool(by) or unknown or changed_since is not None or costs):
        raise click.UsageError(
            "--format focus has rows of its own: leave out --by, --unknown, --changed-since and --costs"
        )
    try:
        dimensions = parse_dimensions(by)
    except ValueError as error:
        raise click.UsageError(f"--by: {error}") from None
    at_terminal = sys.stdout is not None and sys.stdout.isatty()
    range_ = read_range(from_, to, last)
    months = billing_months(range_) if focus else None
    destination = focus_destination(file) if focus else Destination.of(format_, file, at_terminal=at_terminal)
    context = open_context(**options, sharded=True, sends=False)
    context = replace(context, scope=replace(context.scope, orgs=orgs))
    ledger = open_ledger(context, "export")
    try:
        warn_of_unconfirmed(context, ledger)
        if months is not None:
            write_focus(context, ledger, months, products, destination, now=SystemClock().now())
            return 0
        reading = _Reading(context, ledger, range_, products, dimensions, costs=costs)
        if unknown:
            reading.write_unknown(destination)
        elif changed_since is not None:
            reading.write_changed(destination, changed_since)
        elif dimensions:
            reading.write_groups(destination)
        else:
            reading.write_records(destination)
    finally:
        ledger.close()
    return 0


class _Reading:
    """One export: what is read, and the notes about it."""

    def __init__(
        self,
        context: Context,
        ledger: LedgerReader,
        range_: Range | None,
        products: Sequence[str],
        dimensions: Sequence[Dimension],
        *,
        costs: bool,
    ) -> None:
        now = self._now = SystemClock().now()
        self._ledger, self._products, self._dimensions = ledger, tuple(dict.fromkeys(products)), dimensions
        self._reader = PresentReader(ledger, context.config, context.scope, now=now, range_=range_)
        self._seen = Seen()
        self._costs = ExportCosts(prices_of(context, "--costs"), self._products) if costs else None
        refuse_unknown_labels(dimensions, context.config.orgs)
        if range_ is not None:
            for note in export_notes(self._reader.entries, range_, now=now):
                (log.warning if note.warns else log.info)("range.changed", message=note.text)

    def write_records(self, destination: Destination) -> None:
        """Write one row for each product and window."""
        costs = self._costs
        if destination.form is None:
            record_table(stdout_console(), self._windows(), self._products, costs)
        elif costs is not None:
            self._write(destination, (*RECORDS, *RECORD_COSTS), costs.record_rows(self._windows()))
        else:
            records = (one for window in self._windows() for one in records_of(window, self._products))
            self._write(destination, RECORDS, map(record_row, records))
        self._note_windows(in_table=destination.form is None)

    def write_groups(self, destination: Destination) -> None:
        """Write sums."""
        dimensions = self._dimensions
        part_of = parts(dimensions)
        self._reader.sort(lambda org: order(part_of(org)))
        costs = self._costs
        prices = costs.prices if costs is not None else NO_PRICES
        everything = Groups((), self._products, prices)
        groups = groups_of(self._dividing(everything), dimensions, self._products, prices)
        if destination.form is None:
            group_table(stdout_console(), dimensions, groups, everything.rows, costs)
        elif costs is not None:
            columns = (*group_columns(dimensions), *GROUP_COSTS)
            self._write(destination, columns, costs.group_rows(dimensions, groups))
        else:
            columns = group_columns(dimensions)
            self._write(destination, columns, (group_row(dimensions, group) for group in groups))
        self._note_windows(in_table=destination.form is None)
        if self._seen.extra:
            log.info("metrics.not_summed", message="numbers that the API added later (`extra`) are not summed")

    def write_unknown(self, destination: Destination) -> None:
        """Write the windows of which not every number is known."""
        found = (window for window in self._windows() if window.is_unknown(self._products))
        if destination.form is None:
            unknown_table(stdout_console(), ((window, window.unknown(self._products)) for window in found))
        else:
            rows = (unknown_row(window, window.unknown(self._products)) for window in found)
            self._write(destination, UNKNOWN, rows)
        self._seen.warn_of_gone(self._reader.not_wanted)

    def write_changed(self, destination: Destination, since: str) -> None:
        """Write the records that were restated since then."""
        moment, run_id = changes_since(self._ledger, self._reader.entries, since, now=self._now)
        equal, sums = 0, RestatedSums()

        def differing() -> Iterator[RestatedRecord]:
            nonlocal equal
            for one in self._reader.restated(moment, but=run_id, products=self._products):
                if one.differs:
                    sums.add(one)
                    yield one
                else:
                    equal += 1

        if destination.form is None:
            changed_table(stdout_console(), differing(), sums)
        else:
            self._write(destination, RESTATED, map(restated_row, differing()))
        note_sums(equal, sums)

    def _windows(self) -> Iterator[PresentWindow]:
        for window in self._reader.windows():
            self._seen.note(window, self._products)
            if self._costs is not None:
                self._costs.note(window)
            yield window

    def _dividing(self, everything: Groups) -> Iterator[PresentWindow]:
        """Yield windows that fit into the periods that are summed over. Raises ConfigError for a longer one."""
        for window in self._windows():
            refuse_undivided(window, self._dimensions)
            everything.add(window)
            yield window

    def _write(self, destination: Destination, columns: Sequence[Column], rows: Iterator[Row]) -> None:
        written = write_table(destination, columns, rows)
        if destination.path is not None:
            log.info("export.written", file=str(destination.path), rows=written)

    def _note_windows(self, *, in_table: bool) -> None:
        seen = self._seen
        if self._costs is not None:
            self._costs.tell(in_table=in_table)
        if seen.unknown:
            message = (
                f"{seen.unknown} of {seen.windows} windows are unknown, or known in part: no number of them is counted "
                "as zero. --unknown lists them"
            )
            log.warning("windows.unknown", windows=seen.windows, unknown=seen.unknown, message=message)
        seen.warn_of_products(self._products)
        seen.warn_of_gone(self._reader.not_wanted)
