"""What a report says: usage in a period, compared with the period before, and what is not known of it. Pure.

All numbers are sums of known numbers (`collector.core.grouping`). The windows that are unknown stand beside each of
them; nothing is filled in for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from collector.core.budgets import BudgetStanding
from collector.core.costs import remainder, rounded
from collector.core.grouping import (
    NO_PRICES,
    PERIODS,
    By,
    Dimension,
    Key,
    Sum,
)
from collector.core.org_coverage import CoverageState
from collector.core.periods import Period
from collector.core.prices import DurationUnit, PriceList
from collector.model import Population

Number = int | Fraction
_ABOUT = 0.02


class Metric(StrEnum):
    """The number that charts and the order of lines are about."""

    TESTS = "tests"
    DURATION = "duration"
    SCREENSHOTS = "screenshots"
    COST = "cost"

    def of(self, sums: Sum) -> Number | None:
        """Return the number of a sum; None if it is not known."""
        match self:
            case Metric.TESTS:
                return sums.tests
            case Metric.DURATION:
                return sums.duration
            case Metric.SCREENSHOTS:
                return sums.screenshots
            case Metric.COST:
                return sums.cost.amount


class Change(NamedTuple):
    """The difference to the period before. It is `exact` if all windows of both periods are wanted and known."""

    difference: Number
    ratio: float | None  # of the number before; None if that is 0
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The sums of one group, now and in the period before, and of each part of the period."""

    key: Key
    org_id: str | None = None
    now: Sum
    before: Sum
    parts: Mapping[date, Sum] = field(default_factory=dict)
    expected: float = 1  # windows of the period before, for each of the period: by their days

    @property
    def name(self) -> str:
        """Return the values of the group as one text."""
        return ", ".join("(none)" if value is None else str(value) for value in self.key)

    @property
    def is_new(self) -> bool:
        """Return whether less than half of the period before is wanted: there is nothing to compare with."""
        return self.before.windows < self.now.windows * self.expected / 2

    @property
    def _has_as_many(self) -> bool:
        """Return whether the periods have as many windows, by their days; a clock's change of an hour is no matter."""
        expected = self.now.windows * self.expected
        return abs(self.before.windows - expected) <= max(_ABOUT * expected, 1)

    def change(self, metric: Metric) -> Change | None:
        """Return how a number changed; None if either period has no known number, or the one before is `is_new`."""
        now, before = metric.of(self.now), metric.of(self.before)
        if now is None or before is None or self.is_new:
            return None
        exact = not self.now.unknown and not self.before.unknown and self._has_as_many
        return Change(now - before, float((now - before) / before) if before else None, exact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Windows of an org and population that are unknown for the same reason."""

    org: str
    population: Population
    state: CoverageState
    reason: str | None = None
    windows: int
    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report. Lines stand in the order of their numbers, the largest first."""

    period: Period
    before: Period
    metric: Metric
    part: By
    made_at: datetime
    products: Sequence[str]  # that were chosen; empty: all
    by: Sequence[Dimension]
    total: Line
    lines: Sequence[Line]  # of what was asked for by `by`
    orgs: Sequence[Line]
    of_products: Sequence[Line]
    populations: Sequence[Line]
    labels: Mapping[str, Sequence[Line]]
    days: Mapping[date, Sum]
    unknown: Sequence[Unknown]
    coarse: Sequence[str] = ()  # orgs whose windows are longer than a day: they are not in `days`
    gone: Sequence[str] = ()  # orgs that the config has no more
    not_wanted: Mapping[str, int] = field(default_factory=dict)  # windows that nobody wants or has, by org
    duration_unit: DurationUnit | None = None  # what durations count, if the config says so
    prices: PriceList = NO_PRICES  # by which lines have costs
    budgets: Sequence[BudgetStanding] = ()  # of the present month, whatever the period is
    extra: bool = False  # whether there are numbers that the API added later, which are not summed

    @property
    def compares(self) -> bool:
        """Return whether `lines` have a period before: not if the time is one of their dimensions."""
        return not any(one.by in PERIODS for one in self.by)

    @property
    def windows_not_wanted(self) -> int:
        """Return how many windows of the period nobody wants and nothing has: they are in no number."""
        return sum(self.not_wanted.values())

    @property
    def is_whole(self) -> bool:
        """Return whether every window of the period is wanted and known."""
        return bool(self.total.now.windows) and not self.total.now.unknown and not self.not_wanted

    def movers(self, most: int) -> list[Line]:
        """Return the orgs that changed most, in either direction; those with unknown windows are left out."""
        found = [(line, change) for line in self.orgs if (change := line.change(self.metric)) and change.exact]
        ranked = sorted(found, key=lambda one: max(one[1].difference, -one[1].difference), reverse=True)
        return [line for line, change in ranked[:most] if change.difference]


def rounding(report: Report, lines: Sequence[Line]) -> Decimal:
    """Return what the rounded costs of lines lack of the rounded total: shown beside them, so that a column adds up."""
    decimals = report.prices.decimals
    amounts = [None if (amount := line.now.cost.amount) is None else rounded(amount, decimals) for line in lines]
    total = report.total.now.cost.amount
    return remainder(rounded(total or Fraction(), decimals), amounts)
