"""Makes the standings of budgets from windows, in the memory of one org's days.

The forecast is made of each org and population by itself, so that one unknown window doesn't spoil the days of all
others. Pure; takes the windows of an org and population one after the other, the oldest first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from collector.core.budgets import Budget, BudgetMetric, BudgetStanding
from collector.core.forecast import BASIS_DAYS, still_to_come
from collector.core.grouping import NO_PRICES
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.present import KNOWN, PresentOrg, PresentWindow
from collector.core.prices import PriceList
from collector.core.windows import start_of_date
from collector.model import Granularity, Population, ProductUsage, Zone

_DAY = timedelta(days=1)


class Budgeting:
    """Makes standings for a month. More usage is to come of the orgs and populations that are `collected`."""

    def __init__(
        self,
        budgets: Sequence[Budget],
        *,
        month: Period,
        now: datetime,
        collected: Mapping[str, Collection[Population]],
        prices: PriceList = NO_PRICES,
    ) -> None:
        self._tallies = [_Tally(one, month) for one in budgets]
        self._month, self._now, self._collected, self._prices = month, now, collected, prices
        self._org: PresentOrg | None = None
        self._population: Population | None = None
        self._series: list[_Series] = []
        self._today: dict[str, date] = {}  # by zone

    def is_for(self, org: PresentOrg) -> bool:
        """Return whether any budget is about an org."""
        return any(one.budget.is_for(org.name, org.labels) for one in self._tallies)

    def add(self, window: PresentWindow) -> None:
        """Add a window."""
        if window.org is not self._org or window.population is not self._population:
            self._begin(window)
        if window.timezone not in self._today:
            self._today[window.timezone] = self._now.astimezone(window.window_start.tzinfo).date()
        today = self._today[window.timezone]
        for series in self._series:
            series.add(window, number_of(window, series.tally.budget, self._prices), today)

    def standings(self) -> list[BudgetStanding]:
        """Return how all budgets stand, in their order."""
        self._end_org()
        return [tally.standing(self._prices.scale) for tally in self._tallies]

    def _begin(self, window: PresentWindow) -> None:
        org, population = window.org, window.population
        tallies = [one for one in self._tallies if one.budget.is_for(org.name, org.labels)]
        if org is not self._org:
            self._end_org()
            for tally in tallies:
                tally.orgs += 1
        self._end_series()
        self._org, self._population = org, population
        goes_on = org.in_config and population in self._collected.get(org.name, ())
        self._series = [_Series(tally, self._month, goes_on=goes_on) for tally in tallies]

    def _end_org(self) -> None:
        self._end_series()
        for tally in self._tallies:
            tally.end_org()

    def _end_series(self) -> None:
        for series in self._series:
            series.end()
        self._series = []


class Number(NamedTuple):
    """A budget's number in one window: as the API counts it, or of costs in shares of the prices' scale."""

    value: int  # of what is known
    unknown: bool
    not_priced: bool = False


def number_of(window: PresentWindow, budget: Budget, prices: PriceList = NO_PRICES) -> Number:
    """Return what is known of a budget's number in a window."""
    products = budget.products
    if budget.metric is BudgetMetric.COST:
        cost = prices.cost_of(window, products)
        return Number(sum(one.shares for one in cost.charges), cost.unknown, bool(cost.not_priced))
    known = (
        _of(emitted.usage, budget.metric) or 0
        for product, emitted in window.products.items()
        if emitted.quality in KNOWN and (not products or product in products)
    )
    return Number(sum(known), window.is_unknown(products))


def _of(usage: ProductUsage, metric: BudgetMetric) -> int | None:
    match metric:
        case BudgetMetric.TESTS:
            return usage.total_tests
        case BudgetMetric.MINUTES:
            return usage.total_duration
        case _:
            return usage.total_screenshots


@dataclass(slots=True)
class _Tally:
    """The sums of one budget, as the API counts."""

    budget: Budget
    month: Period
    used: int = 0
    to_come: Fraction = field(default_factory=Fraction)
    any_known: bool = False
    any_forecast: bool = False
    windows: int = 0
    unknown: int = 0
    not_priced: int = 0
    orgs: int = 0
    coarse: int = 0
    too_new: int = 0
    org_is_coarse: bool = False
    org_is_new: bool = False

    def add(self, number: Number, *, is_due: bool) -> None:
        """Add a window of the month. One that isn't due is neither known nor unknown: it is still to come."""
        self.used += number.value
        if is_due:
            self.any_known = self.any_known or bool(number.value) or not (number.unknown or number.not_priced)
            self.windows += 1
            self.unknown += number.unknown
            self.not_priced += number.not_priced

    def end_org(self) -> None:
        self.coarse += self.org_is_coarse
        self.too_new += self.org_is_new and not self.org_is_coarse
        self.org_is_coarse = self.org_is_new = False

    def standing(self, scale: int) -> BudgetStanding:
        unit = scale if self.budget.metric is BudgetMetric.COST else self.budget.per_unit
        left_out = self.coarse or self.too_new
        return BudgetStanding(
            budget=self.budget,
            month=self.month,
            used=Fraction(self.used, unit) if self.any_known or not self.windows else None,
            forecast=(self.used + self.to_come) / unit if self.any_forecast or not left_out else None,
            windows=self.windows,
            unknown=self.unknown,
            not_priced=self.not_priced,
            orgs=self.orgs,
            coarse=self.coarse,
            too_new=self.too_new,
        )


@dataclass(slots=True)
class _Day:
    """What is known of a day."""

    number: int = 0
    is_whole: bool = False  # one window of a day
    elapsed: timedelta = timedelta(0)  # of windows of an hour
    is_open: bool = False  # a number of it isn't known yet


@dataclass(slots=True)
class _Series:
    """One population of one org, for one budget: the days that the forecast is made of."""

    tally: _Tally
    month: Period
    goes_on: bool
    days: dict[date, _Day] = field(default_factory=dict)
    basis_from: date = date.min
    today: date = date.min
    zone: str = "UTC"
    is_coarse: bool = False

    def add(self, window: PresentWindow, number: Number, today: date) -> None:
        day, is_due = window.window_date, window.state is not CoverageState.NOT_DUE
        if self.month.first <= day <= self.month.last:
            self.tally.add(number, is_due=is_due)
        if window.granularity not in (Granularity.HOUR, Granularity.DAY):
            self.is_coarse = True
            return
        self.today, self.zone = today, window.timezone
        of_day = self.days.setdefault(day, _Day())
        of_day.number += number.value
        if window.granularity is Granularity.DAY:
            of_day.is_whole = True
        else:
            of_day.elapsed += window.window_end.astimezone(UTC) - window.window_start.astimezone(UTC)
        of_day.is_open = of_day.is_open or number.unknown
        if number.not_priced:
            self.basis_from = day + _DAY  # of the days before, only those without usage have a cost: no fair basis

    def end(self) -> None:
        """Add what is to come to the budget."""
        tally = self.tally
        if not self.goes_on:
            return
        if self.is_coarse:
            tally.org_is_coarse = True
            return
        known = {day: of.number for day, of in self.days.items() if self._is_basis(day, of)}
        open_ = self._open_days()
        expected = still_to_come(known, open_)
        if expected is None:
            tally.org_is_new = True
        elif open_:
            tally.to_come += expected
            tally.any_forecast = True

    def _is_basis(self, day: date, of: _Day) -> bool:
        first = max(self.basis_from, min(self.month.first, self.today - BASIS_DAYS * _DAY))
        if of.is_open or not first <= day < self.today:
            return False
        return of.is_whole or of.elapsed >= _length_of(day, self.zone)

    def _open_days(self) -> dict[date, int]:
        """Return the days of the month that will be known and aren't as a whole, with what is known of each."""
        found = {}
        for day in self.month.dates():
            of = self.days.get(day)
            if day >= self.today or (of is not None and of.is_open):
                found[day] = of.number if of else 0
        return found


@lru_cache(maxsize=4096)
def _length_of(day: date, zone: str) -> timedelta:
    """Return how long a day is: some have 23 or 25 hours."""
    parsed = Zone.parse(zone)
    return start_of_date(day + _DAY, parsed) - start_of_date(day, parsed)
