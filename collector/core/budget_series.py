"""The sums of a budget, and the days of one population of one org that its forecast is made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from fractions import Fraction
from functools import lru_cache

from collector.core.budget_numbers import Number, Sought
from collector.core.budgets import Budget, BudgetMetric, BudgetStanding
from collector.core.forecast import BASIS_DAYS, FEWEST, still_to_come
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.present import PresentWindow
from collector.core.windows import start_of_date
from collector.model import Granularity, Zone

_DAY = timedelta(days=1)


@dataclass(slots=True)
class Tally:
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
    newly_priced: int = 0
    unpriced: int = 0
    org_is_coarse: bool = False
    org_is_new: bool = False
    org_is_newly_priced: bool = False
    org_is_unpriced: bool = False
    any_price: bool = False
    sought: Sought = field(init=False)

    def __post_init__(self) -> None:
        self.sought = Sought(self.budget)

    def add(self, number: Number, *, is_due: bool) -> None:
        """Add a window of the month. One that isn't due is neither known nor unknown: it is still to come."""
        self.used += number.value
        self.any_price = self.any_price or bool(number.priced)
        if is_due:
            nothing_priced = number.not_priced and not number.priced
            self.any_known = self.any_known or bool(number.value) or not (number.unknown or nothing_priced)
            self.windows += 1
            self.unknown += number.unknown
            self.not_priced += bool(number.not_priced)

    def end_org(self) -> None:
        """Count an org by the first reason that it has no forecast of all that it will use."""
        if self.org_is_coarse:
            self.coarse += 1
        elif self.org_is_new:
            self.too_new += 1
        elif self.org_is_newly_priced:
            self.newly_priced += 1
        elif self.org_is_unpriced:
            self.unpriced += 1
        self.org_is_coarse = self.org_is_new = self.org_is_newly_priced = self.org_is_unpriced = False

    def standing(self, scale: int) -> BudgetStanding:
        """Return how the budget stands."""
        unit = scale if self.budget.metric is BudgetMetric.COST else self.budget.per_unit
        nothing = self.sought.nothing or (self.not_priced > 0 and not self.any_price)
        used_is_known = not nothing and (self.any_known or not self.windows)
        left_out = self.coarse or self.too_new or self.newly_priced or self.unpriced
        can_be_forecast = not nothing and (self.any_forecast or not left_out)
        return BudgetStanding(
            budget=self.budget,
            month=self.month,
            used=Fraction(self.used, unit) if used_is_known else None,
            forecast=(self.used + self.to_come) / unit if can_be_forecast else None,
            windows=self.windows,
            unknown=self.unknown,
            not_priced=self.not_priced,
            orgs=self.orgs,
            coarse=self.coarse,
            too_new=self.too_new,
            newly_priced=self.newly_priced,
            unpriced=self.unpriced,
            nothing_counted=self.sought.nothing,
            absent=self.sought.absent,
            without_number=self.sought.without_number,
        )


@dataclass(slots=True)
class _Day:
    """What is known of a day."""

    number: int = 0
    is_whole: bool = False  # one window of a day
    elapsed: timedelta = timedelta(0)  # of windows of an hour
    is_open: bool = False  # a number of it isn't known yet


@dataclass(slots=True)
class Series:
    """One population of one org, for one budget: the days that the forecast is made of."""

    tally: Tally
    month: Period
    goes_on: bool
    days: dict[date, _Day] = field(default_factory=dict)
    basis_from: date = date.min
    unpriced: dict[str, date] = field(default_factory=dict)  # the last day with usage of a product without a price
    is_priced: bool = False
    today: date = date.min
    zone: str = "UTC"
    is_coarse: bool = False

    def add(self, window: PresentWindow, number: Number, today: date) -> None:
        """Add a window, with the budget's number in it; `today` is that of its zone."""
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
        self._note_prices(day, number)

    def _note_prices(self, day: date, number: Number) -> None:
        """Note where a product's price begins. A product that never has one is left out of each day alike."""
        if self.unpriced:
            for product in self.unpriced.keys() & number.priced:
                # of the days before, only those without its usage have their cost: no fair basis
                self.basis_from = max(self.basis_from, self.unpriced.pop(product) + _DAY)
        for product in number.not_priced:
            self.unpriced[product] = day
        self.is_priced = self.is_priced or bool(number.priced)

    def end(self) -> None:
        """Add what is to come to the budget."""
        tally = self.tally
        if not self.goes_on:
            return
        if self.is_coarse:
            tally.org_is_coarse = True
            return
        open_ = self._open_days()
        if not open_:
            return
        if self.unpriced and not self.is_priced:
            tally.org_is_unpriced = True
            return
        begin = min(self.month.first, self.today - BASIS_DAYS * _DAY)
        whole = {day: of.number for day, of in self.days.items() if day >= begin and self._is_whole(day, of)}
        expected = still_to_come({day: of for day, of in whole.items() if day >= self.basis_from}, open_)
        if expected is not None:
            tally.to_come += expected
            tally.any_forecast = True
        elif len(whole) < FEWEST:
            tally.org_is_new = True
        else:
            tally.org_is_newly_priced = True

    def _is_whole(self, day: date, of: _Day) -> bool:
        """Return whether a day is past, and known from its beginning to its end."""
        if of.is_open or day >= self.today:
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
