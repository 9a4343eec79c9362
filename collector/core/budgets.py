"""Budgets: what a person allows orgs to use in a month, and how that stands.

`used` is a sum of known numbers. What is unknown stands beside it, and is never zero. Pure; standings are made by
`collector.core.budgeting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import floor

from collector.core.forecast import BASIS_DAYS, FEWEST
from collector.core.meant import Meant
from collector.core.periods import Period
from collector.core.windows import Calendar
from collector.model import Granularity, Zone

NEAR = Fraction(4, 5)
_DAY = timedelta(days=1)


class BudgetMetric(StrEnum):
    """What a budget limits."""

    TESTS = "tests"
    MINUTES = "minutes"
    SCREENSHOTS = "screenshots"
    COST = "cost"


class Level(StrEnum):
    """How a budget stands, from the best to the worst."""

    UNKNOWN = "unknown"  # no number of the month is known
    OK = "ok"
    NEAR = "near"  # 80 % is used
    FORECAST = "forecast"  # the forecast passes the amount
    OVER = "over"  # all of it is used


LEVELS = {  # in words, so that no colour is needed
    Level.UNKNOWN: "nothing known",
    Level.OK: "within",
    Level.NEAR: "80 % used",
    Level.FORECAST: "will be over",
    Level.OVER: "over",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Meant):
    """What orgs may use in a month, together."""

    name: str
    metric: BudgetMetric
    amount: Decimal
    unit: str  # tests, minutes, screenshots, or the currency
    products: tuple[str, ...] = ()  # empty: all
    per_unit: int = 1  # of what the API counts: 60 if that is seconds
    decimals: int = 0  # of amounts that are shown

    @property
    def meant(self) -> str:
        """Whom it is about, in words."""
        if self.org is not None:
            return f"org {self.org}"
        return ", ".join(f"{key}: {value}" for key, value in self.label) or "all orgs"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """How a budget stands in a month. Amounts are exact, in the budget's unit."""

    budget: Budget
    month: Period
    used: Fraction | None  # None: no number of the month is known
    forecast: Fraction | None  # to the end of the month; None: none can be made
    windows: int  # of the month
    unknown: int  # of them: those of which a number is not known
    not_priced: int  # of them: those with usage that has no price
    orgs: int  # that the budget is about
    coarse: int  # of them: those whose windows are longer than a day. The forecast has only what they used
    too_new: int  # of them: those with too few known days. The forecast has only what they used
    newly_priced: int  # of them: those with too few days since a price of what they use began. The same
    unpriced: int  # of them: those without a price for anything they use. They are in no number
    nothing_counted: bool  # no window has any of the products with this number
    absent: Sequence[str] = ()  # products of the budget that no window has
    without_number: Sequence[str] = ()  # products of the budget that never have its number

    @property
    def used_ratio(self) -> Fraction | None:
        """The used part of the amount."""
        return None if self.used is None else self.used / Fraction(self.budget.amount)

    @property
    def forecast_ratio(self) -> Fraction | None:
        """The forecast as a part of the amount."""
        return None if self.forecast is None else self.forecast / Fraction(self.budget.amount)

    @property
    def is_at_least(self) -> bool:
        """Whether the forecast is made of some orgs only: it will be at least that much."""
        return bool(self.coarse or self.too_new or self.newly_priced)

    @property
    def product_notes(self) -> tuple[str, ...]:
        """What is wrong with the products of the budget."""
        of = self.budget.metric.value
        found = [f"no window has the product {one}: compare its name with those in an export" for one in self.absent]
        found += [f"{one} has no {of} in any window: that is not counted" for one in self.without_number]
        if self.nothing_counted and not found:
            found.append(f"no product has {of} in any window")
        return tuple(found)

    @property
    def notes(self) -> tuple[str, ...]:
        """What its numbers leave out, and why."""
        found = [*self.product_notes]
        if self.not_priced:
            found.append(f"{_many(self.not_priced, 'window')} with usage that has no price")
        if self.coarse:
            found.append(f"no forecast of {_many(self.coarse, 'org')} with windows longer than a day")
        reasons = (
            (self.too_new, f"fewer than {FEWEST} days of the last 4 weeks are known"),
            (self.newly_priced, f"a price of what is used began fewer than {FEWEST} known days ago"),
            (self.unpriced, "what is used has no price"),
        )
        found += [f"no forecast of {_many(orgs, 'org')} or a part: {reason}" for orgs, reason in reasons if orgs]
        return tuple(found)

    @property
    def level(self) -> Level:
        """How it stands: the worst that is true. The forecast passes an amount that it is more than."""
        used, forecast = self.used_ratio, self.forecast_ratio
        if used is not None and used >= 1:
            return Level.OVER
        if forecast is not None and forecast > 1:
            return Level.FORECAST
        if used is None:
            return Level.UNKNOWN
        return Level.NEAR if used >= NEAR else Level.OK


def month_of(now: datetime, *, settle: timedelta, zone: Zone) -> Period:
    """Return the month of the newest day that is due in a zone.

    So the last day of a month is still seen, as its numbers come in the next month.
    """
    due = Calendar(zone, Granularity.DAY).floor(now - settle).astimezone(zone.tz).date() - _DAY
    first = due.replace(day=1)
    return Period(first, (first + 31 * _DAY).replace(day=1) - _DAY)


def read_of(month: Period, now: datetime) -> Period:
    """Return the days that standings are made from: the month, and the days before the present one."""
    return Period(min(month.first, now.date() - (BASIS_DAYS + 1) * _DAY), max(month.last, now.date() + _DAY))


def percent_text(ratio: Fraction | None) -> str:
    """Return a ratio in whole percents, rounded half up: `13,518 %`. Nothing if it is not known."""
    return "" if ratio is None else f"{floor(ratio * 100 + Fraction(1, 2)):,} %"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
