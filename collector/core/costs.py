"""Costs as values: what a window costs, exact sums of that, and how amounts are rounded to be shown.

Only known numbers cost something: what is unknown or has no price is counted apart, and is never 0. Amounts are exact
fractions until they are rounded. Pure; which price counts is decided by `collector.core.prices`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from fractions import Fraction
from math import lcm
from typing import NamedTuple

_EXACT = Context(prec=100, traps=[Inexact])  # digits: far more than any sum of money has


class Metric(StrEnum):
    """What can have a price."""

    TESTS = "tests"
    MINUTES = "minutes"
    SCREENSHOTS = "screenshots"


class Charge(NamedTuple):
    """The cost of one number of one product in one window."""

    product: str
    metric: Metric
    number: int  # as the API reports it
    per_unit: int  # how many of that are one unit: 60 if the API's seconds have a price by the minute
    unit_price: Decimal
    shares: int  # the amount, as so many parts of 1/scale: sums of whole numbers are exact and quick
    scale: int

    @property
    def quantity(self) -> Fraction:
        """What has the unit price: tests, minutes or screenshots."""
        return Fraction(self.number, self.per_unit)

    @property
    def amount(self) -> Fraction:
        """The quantity times the unit price, exactly."""
        return Fraction(self.shares, self.scale)


class WindowCost(NamedTuple):
    """What is known of the cost of a window."""

    charges: Sequence[Charge] = ()  # by product, in the order of the answer
    unknown: bool = False  # a number that has a price is not known, or may be there
    not_priced: Sequence[str] = ()  # products with usage, and without a price for any of it
    changing: Sequence[str] = ()  # of those: a price changes within the window, which can't be divided

    @property
    def amount(self) -> Fraction | None:
        """The sum of the charges; None if there is none."""
        return sum((one.amount for one in self.charges), Fraction()) if self.charges else None

    def of(self, product: str) -> WindowCost:
        """Return the part that one product has in what is known."""
        return WindowCost(
            charges=[one for one in self.charges if one.product == product],
            not_priced=[one for one in self.not_priced if one == product],
            changing=[one for one in self.changing if one == product],
        )


@dataclass(slots=True)
class CostSum:
    """The cost of a group of windows: the sum of what is known, and how many windows are left out in whole or part."""

    windows_unknown: int = 0
    windows_not_priced: int = 0
    _shares: int | None = None
    _scale: int = 1

    @property
    def amount(self) -> Fraction | None:
        """The exact sum; None if no window has a known cost."""
        return None if self._shares is None else Fraction(self._shares, self._scale)

    def add(self, cost: WindowCost) -> None:
        """Add the cost of a window."""
        self.windows_unknown += cost.unknown
        self.windows_not_priced += bool(cost.not_priced)
        for charge in cost.charges:
            self._add(charge.shares, charge.scale)

    def merge(self, other: CostSum) -> None:
        """Add the cost of another group."""
        self.windows_unknown += other.windows_unknown
        self.windows_not_priced += other.windows_not_priced
        if other._shares is not None:
            self._add(other._shares, other._scale)

    def _add(self, shares: int, scale: int) -> None:
        if scale != self._scale:
            common = lcm(scale, self._scale)
            shares *= common // scale
            if self._shares is not None:
                self._shares *= common // self._scale
            self._scale = common
        self._shares = (self._shares or 0) + shares


@dataclass(slots=True)
class LeftOut:
    """What is in no cost of the windows that were read."""

    windows: int = 0
    unknown: int = 0  # windows
    not_priced: int = 0  # windows
    products: set[str] = field(default_factory=set)  # that have usage without a price
    changing: set[str] = field(default_factory=set)  # of those: the price changes within a window

    def add(self, cost: WindowCost) -> None:
        """Add a window."""
        self.windows += 1
        self.unknown += cost.unknown
        self.not_priced += bool(cost.not_priced)
        self.products.update(cost.not_priced)
        self.changing.update(cost.changing)


@dataclass(slots=True)
class Rounding:
    """Rounds the amounts of rows, and keeps what they lack of their total."""

    decimals: int
    _exact: Fraction | None = None
    _shown: Decimal = Decimal()

    def row(self, amount: Fraction | None) -> Decimal | None:
        """Return the amount of a row as it is shown."""
        if amount is None:
            return None
        self._exact = amount + (self._exact or 0)
        shown = rounded(amount, self.decimals)
        self._shown = _EXACT.add(self._shown, shown)
        return shown

    @property
    def total(self) -> Decimal | None:
        """The exact sum of all rows, rounded; None if no row has an amount."""
        return None if self._exact is None else rounded(self._exact, self.decimals)

    @property
    def rest(self) -> Decimal:
        """What the rows lack of the total."""
        return Decimal() if self.total is None else remainder(self.total, [self._shown])


def rounded(amount: Fraction, decimals: int) -> Decimal:
    """Return an amount with so many decimals: the nearest, of two that are as near the even one."""
    whole = round(amount * 10**decimals)
    return Decimal((whole < 0, tuple(map(int, str(abs(whole)))), -decimals))


def remainder(total: Decimal, rows: Iterable[Decimal | None]) -> Decimal:
    """Return what rounded rows lack of their rounded total: shown beside them, so that a column adds up."""
    for row in rows:
        total = total if row is None else _EXACT.subtract(total, row)
    return total
