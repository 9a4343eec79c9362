"""The period of a report, the period that it is compared with, and the parts that its charts have. Pure.

A period is whole days, the same dates for all orgs, each on its own calendar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from collector.core.grouping import By, period_of
from collector.core.ranges import Between, Moment, Range

_DAY = timedelta(days=1)
_MOST_DAYS = 62  # that a chart shows one by one
_MOST_WEEKS = 106


@dataclass(frozen=True, slots=True)
class Period:
    """Days, from the first to the last; both are in it."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the period ends ({self.last}) before it begins ({self.first})")

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.last - self.first).days + 1

    @property
    def is_months(self) -> bool:
        """Return whether it is whole months."""
        return self.first.day == 1 and (self.last + _DAY).day == 1

    def as_range(self) -> Range:
        """Return the range that selects it on each org's calendar."""
        return Between(Moment(self.first), Moment(self.last))

    def before(self) -> Period:
        """Return the period that it is compared with.

        Of whole months that is as many months before; of the beginning of a month, the same days of the month before;
        of anything else, as many days directly before.
        """
        if self.is_months:
            months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
            return Period(_months_before(self.first, months), self.first - _DAY)
        if self.first.day == 1 and (self.first.year, self.first.month) == (self.last.year, self.last.month):
            last_of_month = self.first - _DAY
            first = last_of_month.replace(day=1)
            return Period(first, min(last_of_month, first + timedelta(days=self.days - 1)))
        return Period(self.first - timedelta(days=self.days), self.first - _DAY)

    def part(self, coarsest: By) -> By:
        """Return the length of the parts that a chart of it has: no shorter than `coarsest`."""
        if self.days <= _MOST_DAYS and coarsest is By.DAY:
            return By.DAY
        if self.days <= _MOST_WEEKS * 7 and coarsest is not By.MONTH:
            return By.WEEK
        return By.MONTH

    def parts(self, length: By) -> list[date]:
        """Return the first day of each part."""
        return list(dict.fromkeys(period_of(day, length) for day in self.dates()))

    def dates(self) -> Iterator[date]:
        """Yield its days."""
        for days in range(self.days):
            yield self.first + timedelta(days=days)


def _months_before(first_of_month: date, months: int) -> date:
    year, month = divmod(first_of_month.year * 12 + first_of_month.month - 1 - months, 12)
    return date(year, month + 1, 1)
