"""Prices: which one counts for an org, a product, a metric and a day, and what a window costs by them.

A price counts from its date on. Of those that fit, the most specific counts: for an org by its name, by a pattern, by
labels, for all; of these for a product by its name, then for all products; of these the newest. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import NamedTuple

from collector.core.costs import Charge, Metric, WindowCost
from collector.core.meant import WILDCARDS, Labels, Meant
from collector.core.present import KNOWN, PresentWindow
from collector.model import Granularity, ProductUsage

EVERY = "*"  # product
_TICK = timedelta(microseconds=1)
_CACHED = 65_536  # timelines; those of 2,700 orgs with eight products
_WITHIN_A_DAY = (Granularity.HOUR, Granularity.DAY)


class DurationUnit(StrEnum):
    """What `total_duration` counts: the API's documents contradict each other, so a person has to say it."""

    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    MINUTES = "minutes"

    @property
    def per_minute(self) -> int:
        """How many of them are a minute."""
        return {DurationUnit.MILLISECONDS: 60_000, DurationUnit.SECONDS: 60, DurationUnit.MINUTES: 1}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Meant):
    """What one test, minute or screenshot costs from a date on."""

    metric: Metric
    unit_price: Decimal
    since: date
    product: str = EVERY

    @property
    def rank(self) -> tuple[int, bool]:
        """How specific it is: the higher one counts."""
        of_org = 0 if not self.label else 1
        if self.org is not None:
            of_org = 2 if any(sign in self.org for sign in WILDCARDS) else 3
        return of_org, self.product != EVERY


class _Rate(NamedTuple):
    """A price of a timeline, ready to be multiplied."""

    unit_price: Decimal
    per_unit: int
    shares: int  # of one number as the API reports it


class _Window(NamedTuple):
    """What the prices of a window depend on."""

    org: str
    labels: Labels
    first: date  # local, as the last day
    last: date

    @classmethod
    def of(cls, window: PresentWindow) -> _Window:
        first = window.window_date
        last = first if window.granularity in _WITHIN_A_DAY else (window.window_end - _TICK).date()
        return cls(window.org.name, tuple(sorted(window.org.labels.items())), first, last)


class _From(NamedTuple):
    since: date
    rate: _Rate | None  # None: no single price counts


class PriceList:
    """All prices of a config, with the currency; without any, nothing has a cost. Can be shared by threads."""

    def __init__(
        self,
        prices: Sequence[Price] = (),
        *,
        currency: str = "",
        decimals: int = 2,
        duration_unit: DurationUnit | None = None,
        closing: timedelta = timedelta(days=5),
    ) -> None:
        if duration_unit is None and any(one.metric is Metric.MINUTES for one in prices):
            raise ValueError("prices of minutes need to know the unit of the API's durations")
        self.prices, self.currency, self.decimals = tuple(prices), currency, decimals
        self.duration_unit, self.closing = duration_unit, closing
        self._per_unit = dict.fromkeys(Metric, 1)
        self._per_unit[Metric.MINUTES] = duration_unit.per_minute if duration_unit else 1
        self.scale = lcm(*(self._exact(one).denominator for one in self.prices))
        self._cached = lru_cache(maxsize=_CACHED)(self._timeline)

    def __bool__(self) -> bool:
        """Return whether it has any price."""
        return bool(self.prices)

    def cost_of(self, window: PresentWindow, products: Collection[str] = ()) -> WindowCost:
        """Return what a window costs, of these products or of all.

        The numbers count that sums count: those that were measured, or inferred to be zero.
        """
        if not self.prices:
            return _NOTHING
        of = _Window.of(window)
        charges: list[Charge] = []
        not_priced, changing = [], []
        for product, emitted in window.products.items():
            if (products and product not in products) or emitted.quality not in KNOWN:
                continue
            before, changes, numbers = len(charges), False, _numbers(emitted.usage)
            for metric, number in numbers:
                rates = self._rates(of, product, metric)
                if len(rates) > 1 and number:
                    changes = True
                elif rate := rates[-1]:
                    amount = number * rate.shares
                    charge = Charge(product, metric, number, rate.per_unit, rate.unit_price, amount, self.scale)
                    charges.append(charge)
            if changes or (len(charges) == before and any(number for _, number in numbers)):
                not_priced.append(product)
                changing += [product] if changes else []
        unknown = self._may_cost(of, window.unknown(products), products)
        return WindowCost(charges, unknown, not_priced, changing)

    def clashes(self, org: str, labels: Mapping[str, str]) -> Iterator[tuple[int, int]]:
        """Yield the indexes of prices of which neither counts for an org: they are equally good, and differ."""
        first: dict[tuple[object, ...], int] = {}
        for index, one in enumerate(self.prices):
            if one.is_for(org, labels):
                other = first.setdefault((one.metric, one.product, one.rank, one.since), index)
                if self.prices[other].unit_price != one.unit_price:
                    yield other, index

    def _may_cost(self, of: _Window, unknown: Sequence[str] | None, products: Collection[str]) -> bool:
        """Return whether any of the unknown products has a price, if it was used; None: any product is unknown."""
        if unknown is None:
            unknown = tuple(products or {one.product for one in self.prices})
        found = (self._rates(of, product, metric) for product in unknown for metric in Metric)
        return any(rate is not None for rates in found for rate in rates)

    def _rates(self, of: _Window, product: str, metric: Metric) -> Sequence[_Rate | None]:
        """Return the rates of a window's days, one after the other; None where no price counts."""
        first, last = of.first, of.last
        timeline = self._cached(of.org, of.labels, product, metric)
        start = bisect_right(timeline, first, key=lambda one: one.since)
        if start == len(timeline) or last < timeline[start].since:
            return (timeline[start - 1].rate,)
        end = bisect_right(timeline, last, key=lambda one: one.since)
        found = dict.fromkeys(one.rate for one in timeline[start - 1 : end])
        return tuple(found)

    def _timeline(self, org: str, labels: Labels, product: str, metric: Metric) -> tuple[_From, ...]:
        """Return which price counts from which date on; the first is of always."""
        named = dict(labels)
        fitting = [
            one
            for one in self.prices
            if one.metric is metric and one.product in (product, EVERY) and one.is_for(org, named)
        ]
        found = [_From(date.min, None)]
        for since in sorted({one.since for one in fitting}):
            begun = [one for one in fitting if one.since <= since]
            best = max((one.rank, one.since) for one in begun)
            rates = {self._rate(one) for one in begun if (one.rank, one.since) == best}
            rate = rates.pop() if len(rates) == 1 else None
            if rate != found[-1].rate:
                found.append(_From(since, rate))
        return tuple(found)

    def _exact(self, price: Price) -> Fraction:
        """Return the price of one of what the API counts."""
        return Fraction(price.unit_price) / self._per_unit[price.metric]

    def _rate(self, price: Price) -> _Rate:
        shares = self._exact(price) * self.scale
        return _Rate(price.unit_price, self._per_unit[price.metric], int(shares))


_NOTHING = WindowCost()


def _numbers(usage: ProductUsage) -> list[tuple[Metric, int]]:
    """Return the numbers that a product has."""
    numbers = zip(Metric, (usage.total_tests, usage.total_duration, usage.total_screenshots), strict=True)
    return [(metric, number) for metric, number in numbers if number is not None]
