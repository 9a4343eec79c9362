"""Rows of a dataset by FOCUS 1.2, the FinOps Open Cost and Usage Specification.

A row is the usage of one metric of one product in one window, or a correction of it. A billing period is a calendar
month in UTC, the same for all orgs; a window is in the month of its local date. What became known after a month was
closed is a correction in the dataset of a later month, so that the rows of a closed month stay as they are. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

from collector.core.columns import Row
from collector.core.costs import Charge, Metric, rounded
from collector.core.emission import Emitted
from collector.core.grouping import By, period_of
from collector.core.ledger_entries import Restatement
from collector.core.normalise import ids_of
from collector.core.present import PresentOrg, PresentWindow
from collector.core.prices import PriceList
from collector.core.visible import visible
from collector.model import Window

VERSION = "1.2"
PROVIDER = "TestMu AI"
DECIMALS = 9  # a number of tests times a unit price is exact; of minutes, the last digit is rounded
_TICK = timedelta(microseconds=1)
_UNITS = {Metric.TESTS: "Tests", Metric.MINUTES: "Minutes", Metric.SCREENSHOTS: "Screenshots"}


@dataclass(frozen=True, slots=True)
class Books:
    """When months are closed: so long after their end, in UTC."""

    closing: timedelta

    def closed_at(self, month: date) -> datetime:
        """Return when a month is closed."""
        return _start(_next(month)) + self.closing

    def month_of(self, instant: datetime) -> date:
        """Return the month that has what became known at an instant: the first one that was not closed before."""
        return (instant - self.closing - _TICK).astimezone(UTC).date().replace(day=1)


@dataclass(frozen=True, slots=True)
class _Line:
    """A charge in one month's dataset: usage, or a correction of it."""

    charge: Charge
    number: int  # a difference, if it is a correction
    month: date
    emitted: Emitted
    restated_at: datetime | None = None

    @property
    def quantity(self) -> Fraction:
        return Fraction(self.number, self.charge.per_unit)

    @property
    def cost(self) -> Fraction:
        return self.quantity * Fraction(self.charge.unit_price)


@dataclass(frozen=True, slots=True)
class Focus:
    """Makes the rows of billing months."""

    prices: PriceList
    months: Collection[date]
    products: Collection[str] = ()

    @property
    def books(self) -> Books:
        """When months are closed."""
        return Books(self.prices.closing)

    def rows(self, window: PresentWindow, restatements: Sequence[Restatement]) -> Iterator[tuple[Row, Fraction]]:
        """Yield the rows of a window, and the exact cost of each.

        `restatements` are those of the window that came after its month was closed, oldest first; others do no harm.
        """
        month = period_of(window.window_date, By.MONTH)
        closed_at = self.books.closed_at(month)
        late = [one for one in restatements if one.at > closed_at]
        for line in self._lines(window, month, late):
            yield self._row(window, line), line.cost

    def _lines(self, window: PresentWindow, month: date, late: Sequence[Restatement]) -> Iterator[_Line]:
        before = _at(window, late)
        known = self._charges(before)
        if month in self.months:
            for one in known.values():
                if one.number:
                    yield _Line(one, one.number, month, before.products[one.product])
        for later in sorted({self.books.month_of(one.at) for one in late}):
            then = [one for one in late if self.books.month_of(one.at) <= later]
            after = _at(window, late[len(then) :])
            now = self._charges(after)
            if later in self.months:
                for key in dict.fromkeys((*known, *now)):
                    old, new = known.get(key), now.get(key)
                    difference = (new.number if new else 0) - (old.number if old else 0)
                    charge = new or old
                    if difference and charge is not None:
                        yield _Line(charge, difference, later, after.products[charge.product], then[-1].at)
            known = now

    def _charges(self, window: PresentWindow) -> Mapping[tuple[str, Metric], Charge]:
        return {(one.product, one.metric): one for one in self.prices.cost_of(window, self.products).charges}

    def _row(self, window: PresentWindow, line: _Line) -> Row:
        org, charge = window.org, line.charge
        account, account_name = org.org_id or org.name, org.org_name or org.name
        quantity, cost = _decimal(line.quantity), _decimal(line.cost)
        unit, sku = _UNITS[charge.metric], f"{charge.product}-{charge.metric}"
        price = _decimal(Fraction(charge.unit_price))
        return (
            cost,
            account,
            account_name,
            self.prices.currency,
            _start(_next(line.month)),
            _start(line.month),
            "Usage",
            None if line.restated_at is None else "Correction",
            _description(window, line, quantity),
            "Usage-Based",
            window.window_end.astimezone(UTC),
            window.window_start.astimezone(UTC),
            None,
            quantity,
            unit,
            cost,
            price,
            cost,
            None,
            PROVIDER,
            cost,
            "Standard",
            quantity,
            unit,
            PROVIDER,
            PROVIDER,
            "Developer Tools",
            charge.product,
            "Quality Assurance",
            sku,
            unit,
            _json({"x_Metric": charge.metric.value, "x_Product": charge.product}),
            f"{sku}-{price:f}",
            account,
            account_name,
            _json(org.labels),
            org.name,
            window.population.value,
            line.emitted.quality.value,
            _record_id(org, window, charge.product),
            line.restated_at,
            line.emitted.revision,
            window.timezone,
            window.window_date,
        )


def months_of(first: date, last: date) -> list[date]:
    """Return the months from that of the first day to that of the last one, each as its first day."""
    found = [first.replace(day=1)]
    while (following := _next(found[-1])) <= last:
        found.append(following)
    return found


def _at(window: PresentWindow, later: Sequence[Restatement]) -> PresentWindow:
    """Return a window with the numbers that it had before restatements, oldest first."""
    if window.emission is None or not later:
        return window
    products = dict(window.emission.products)
    for one in reversed(later):
        products |= {name: old for name, old in one.replaced.products.items() if name in products}
    return replace(window, emission=replace(window.emission, products=products))


def _json(values: Mapping[str, str]) -> str:
    return visible(json.dumps(dict(values), ensure_ascii=False, sort_keys=True).encode()).decode()


def _description(window: PresentWindow, line: _Line, quantity: Decimal) -> str:
    what = f"{line.charge.product}: {quantity:f} {line.charge.metric}, {window.population}, {window.window_date}"
    return what if line.restated_at is None else f"correction of {what}"


def _record_id(org: PresentOrg, window: PresentWindow, product: str) -> str | None:
    if org.org_id is None:
        return None
    return ids_of(org.org_id, window.population, Window(window.window_start, window.window_end))(product)


def _decimal(value: Fraction) -> Decimal:
    """Return a number with no zeros at its end."""
    text = f"{rounded(value, DECIMALS):f}"
    return Decimal(text.rstrip("0").rstrip("."))


def _next(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def _start(month: date) -> datetime:
    return datetime.combine(month, time(), UTC)
