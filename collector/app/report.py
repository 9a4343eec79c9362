"""Reads a report of a ledger: the windows of a period, and those of the period before. Sends no request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from collector.app.budgets import read_budgets
from collector.app.present import PresentReader
from collector.app.present_orgs import choose
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.grouping import NO_PRICES, Dimension
from collector.core.periods import Period
from collector.core.present import PresentWindow
from collector.core.ranges import Between, Last, Range
from collector.core.report import Metric, Report
from collector.core.reporting import Reporting
from collector.core.windows import Calendar
from collector.errors import ConfigError
from collector.ledger import LedgerReader
from collector.model import Granularity, Org

DAYS = 30  # of a report without a range
_DAY = timedelta(days=1)
_A_WHILE = 500  # windows


def period_of(range_: Range | None, orgs: Iterable[Org], *, now: datetime, settle: timedelta) -> Period:
    """Return the period that a range means: whole days, the last of them due in the zones of all orgs.

    Raises ConfigError for a range that has none.
    """
    due = min((_last_due(org, now, settle) for org in orgs), default=(now - settle).date() - _DAY)
    match range_:
        case None:
            return Period(due - timedelta(days=DAYS - 1), due)
        case Last(duration):
            if duration % _DAY:
                raise ConfigError("--last: a report is of whole days: write 7d or 30d")
            return Period(due - duration + _DAY, due)
        case Between():
            first, last = _day("--from", range_.start.value), due
            if range_.end is not None:
                last = min(due, _day("--to", range_.end.value))
                if range_.end.value < range_.start.value:
                    raise ConfigError(
                        f"the range ends ({range_.end.value}) before it starts ({first}): swap --from and --to"
                    )
            if last < first:
                raise ConfigError(f"the range starts at {first}, and {due} is the last day that is due for all orgs")
            return Period(first, last)


def read_report(
    ledger: LedgerReader,
    config: LoadedConfig,
    scope: Scope,
    range_: Range | None,
    *,
    by: Sequence[Dimension] = (),
    products: Sequence[str] = (),
    metric: Metric = Metric.TESTS,
    costs: bool = False,
    now: datetime,
    read: Callable[[int], None] | None = None,
) -> Report:
    """Return the report of a range. `read` hears of windows that were read: how many since its last call.

    Raises ConfigError for a range, orgs or dimensions that don't fit, and LedgerError.
    """
    orgs = [target.entry for target in choose(ledger, config, scope)]
    period = period_of(range_, orgs, now=now, settle=config.settings.schedule.settle)
    reader = PresentReader(ledger, config, scope, now=now, range_=period.as_range())
    granularities = {org.granularity for org in orgs}
    prices = config.prices if costs else NO_PRICES
    reporting = Reporting(period, granularities=granularities, by=by, products=products, metric=metric, prices=prices)
    before = PresentReader(ledger, config, scope, now=now, range_=reporting.before.as_range())
    for source, of, add in ((reader, period, reporting.add), (before, reporting.before, reporting.add_before)):
        add_begun(source.windows(), of, add, read or (lambda _: None))
    found = reporting.report(now, not_wanted=reader.not_wanted)
    # A budget is about its own orgs, whichever the report is about.
    budgets = read_budgets(ledger, config, Scope(shard=scope.shard), now=now, read=read)
    return replace(found, budgets=budgets, duration_unit=config.prices.duration_unit)


def add_begun(
    windows: Iterable[PresentWindow],
    period: Period,
    add: Callable[[PresentWindow], None],
    read: Callable[[int], None] = lambda _: None,
) -> None:
    """Add the windows that begin in a period: a week that began before it is in the period before."""
    number = 0
    for number, window in enumerate(windows, start=1):
        if period.first <= window.window_date <= period.last:
            add(window)
        if not number % _A_WHILE:
            read(_A_WHILE)
    read(number % _A_WHILE)


def _last_due(org: Org, now: datetime, settle: timedelta) -> date:
    """Return the last day whose windows are all due on an org's calendar."""
    due = Calendar(org.zone, Granularity.DAY).floor(now - settle)
    return due.astimezone(org.zone.tz).date() - _DAY


def _day(option: str, value: date | datetime) -> date:
    if isinstance(value, datetime):
        raise ConfigError(f"{option}: a report is of whole days: write {value:%Y-%m-%d}")
    return value
