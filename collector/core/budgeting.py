"""Makes the standings of budgets from windows, in the memory of one org's days.

The forecast is made of each org and population by itself, so that one unknown window doesn't spoil the days of all
others. Pure; takes the windows of an org and population one after the other, the oldest first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from collector.core.budget_numbers import number_of
from collector.core.budget_series import Series, Tally
from collector.core.budgets import Budget, BudgetStanding
from collector.core.grouping import NO_PRICES
from collector.core.periods import Period
from collector.core.present import PresentOrg, PresentWindow
from collector.core.prices import PriceList
from collector.model import Population


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
        self._tallies = [Tally(one, month) for one in budgets]
        self._month, self._now, self._collected, self._prices = month, now, collected, prices
        self._org: PresentOrg | None = None
        self._population: Population | None = None
        self._series: list[Series] = []
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
            series.tally.sought.look(window)
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
        self._series = [Series(tally, self._month, goes_on=goes_on) for tally in tallies]

    def _end_org(self) -> None:
        self._end_series()
        for tally in self._tallies:
            tally.end_org()

    def _end_series(self) -> None:
        for series in self._series:
            series.end()
        self._series = []
