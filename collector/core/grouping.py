"""Sums over windows: by period, org, population, product and labels.

Only numbers that are known are summed. A window of a group with any unknown number is counted apart (`unknown`); a
group without a known number has none, not zero. Users never add up. Pure; the windows of one org after the other.
With prices, a group has a cost, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from collector.core.costs import CostSum
from collector.core.present import KNOWN, PresentOrg, PresentWindow
from collector.core.prices import PriceList
from collector.errors import ConfigError
from collector.model import Granularity, ProductUsage


class By(StrEnum):
    """What windows can be summed over."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ORG = "org"
    POPULATION = "population"
    PRODUCT = "product"
    LABEL = "label"


PERIODS = (By.DAY, By.WEEK, By.MONTH)
_OF_ORG = (By.ORG, By.LABEL)
_LENGTHS = {Granularity.HOUR: 0, Granularity.DAY: 1, Granularity.WEEK: 2, Granularity.MONTH: 3}
Key = tuple[date | str | None, ...]
NO_PRICES = PriceList()


class Dimension(NamedTuple):
    """One of the things that are summed over; of a label its key."""

    by: By
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> Dimension:
        """Read `month`, `product`, `label:cost_center`. Raises ValueError that says what is right."""
        name, colon, label = text.partition(":")
        if name == By.LABEL and label:
            return cls(By.LABEL, label)
        if colon or name not in set(By) - {By.LABEL}:
            words = ", ".join(by.value for by in By if by is not By.LABEL)
            raise ValueError(f"expected {words} or label:KEY")
        return cls(By(name))

    @property
    def of_org(self) -> bool:
        """Whether all windows of an org have the same value."""
        return self.by in _OF_ORG


def parse_dimensions(texts: Sequence[str]) -> tuple[Dimension, ...]:
    """Read dimensions, several in one text with commas between them. Raises ValueError."""
    found = tuple(Dimension.parse(word.strip()) for text in texts for word in text.split(","))
    if len(set(found)) < len(found):
        raise ValueError("one of them stands there twice")
    if sum(one.by in PERIODS for one in found) > 1:
        raise ValueError("give one of day, week and month")
    return found


def divides(window: Granularity, period: By) -> bool:
    """Return whether windows are no longer than a period: longer ones can't be divided."""
    return _LENGTHS[window] <= PERIODS.index(period) + 1


def refuse_undivided(window: PresentWindow, dimensions: Sequence[Dimension]) -> None:
    """Raise ConfigError for a window that is longer than the period that is summed over."""
    period = next((one.by for one in dimensions if one.by in PERIODS), None)
    if period is not None and not divides(window.granularity, period):
        raise ConfigError(
            f"--by {period}: {window.org.name} is collected by {window.granularity}, and such windows can't be "
            f"divided: sum over {window.granularity}, or choose other orgs with --org or --label"
        )


def period_of(day: date, period: By) -> date:
    """Return the first day of the period that a day is in: of a week its Monday."""
    match period:
        case By.MONTH:
            return day.replace(day=1)
        case By.WEEK:
            return day - timedelta(days=day.weekday())
        case _:
            return day


@dataclass(slots=True)
class Sum:
    """The sums of a group. A number is None if no window has it."""

    tests: int | None = None
    duration: int | None = None
    screenshots: int | None = None
    windows: int = 0
    unknown: int = 0  # of the windows: those of which not every number is known
    cost: CostSum = field(default_factory=CostSum)  # without prices it stays empty

    def add(self, usage: ProductUsage) -> None:
        """Add known numbers."""
        if usage.total_tests is not None:
            self.tests = (self.tests or 0) + usage.total_tests
        if usage.total_duration is not None:
            self.duration = (self.duration or 0) + usage.total_duration
        if usage.total_screenshots is not None:
            self.screenshots = (self.screenshots or 0) + usage.total_screenshots

    def add_window(self, window: PresentWindow, products: Collection[str] = (), prices: PriceList = NO_PRICES) -> None:
        """Add a window: its known numbers, of these products or of all, and what they cost."""
        self.count(unknown=window.is_unknown(products))
        self.cost.add(prices.cost_of(window, products))
        for product, emitted in window.products.items():
            if emitted.quality in KNOWN and (not products or product in products):
                self.add(emitted.usage)

    def merge(self, other: Sum) -> None:
        """Add the sums of other windows."""
        self.add(
            ProductUsage(total_tests=other.tests, total_duration=other.duration, total_screenshots=other.screenshots)
        )
        self.count(unknown=True, windows=other.unknown)
        self.count(unknown=False, windows=other.windows - other.unknown)
        self.cost.merge(other.cost)

    def count(self, *, unknown: bool, windows: int = 1) -> None:
        """Count windows of the group."""
        self.windows += windows
        self.unknown += windows if unknown else 0


class Group(NamedTuple):
    """A group: a value for each dimension, and its sums. An org's value is its name; `org_id` stands beside it."""

    key: Key
    sum: Sum
    org_id: str | None = None


@dataclass(slots=True)
class Groups:
    """Sums the windows of orgs that have the same values of org and labels; `rows` ends each such part.

    With `products`, only these are summed, and only their numbers can be unknown.
    """

    dimensions: Sequence[Dimension]
    products: Collection[str] = ()
    prices: PriceList = NO_PRICES
    _sums: dict[Key, Sum] = field(default_factory=lambda: defaultdict(Sum))
    _open: Counter[Key] = field(default_factory=Counter)  # windows with any products, by key without a product
    _seen: Counter[Key] = field(default_factory=Counter)  # of those: the ones that have a record of the product
    _org_id: str | None = None

    def add(self, window: PresentWindow) -> None:
        """Add a window."""
        self._org_id = window.org.org_id
        key = tuple(_value(one, window) for one in self.dimensions)
        if not any(one.by is By.PRODUCT for one in self.dimensions):
            self._sums[key].add_window(window, self.products, self.prices)
            return
        self._add_products(window, key)

    def _add_products(self, window: PresentWindow, key: Key) -> None:
        """Add a window to the groups of its products. If it may have others, it is unknown in their groups."""
        if window.is_open:
            self._open[key] += 1
        for product, emitted in window.products.items():
            if self._takes(product):
                of_product = self._with(key, product)
                found = self._sums[of_product]
                found.count(unknown=not window.knows(product))
                found.cost.add(self.prices.cost_of(window, (product,)))
                if emitted.quality in KNOWN:
                    found.add(emitted.usage)
                if window.is_open:
                    self._seen[of_product] += 1
        if not window.is_open:
            for product in window.unknown(self.products) or ():
                if product not in window.products:
                    found = self._sums[self._with(key, product)]
                    found.count(unknown=True)
                    found.cost.add(self.prices.cost_of(window, (product,)))

    def rows(self) -> list[Group]:
        """Return the groups, sorted by their values, and begin anew."""
        self._spread()
        org_id = self._org_id if any(one.by is By.ORG for one in self.dimensions) else None
        found = [Group(key, sum_, org_id) for key, sum_ in sorted(self._sums.items(), key=_order)]
        self._sums.clear()
        self._open.clear()
        self._seen.clear()
        return found

    def _spread(self) -> None:
        """Count windows that may have any product in the group of each product beside them."""
        if not self._open:
            return
        place = next(n for n, one in enumerate(self.dimensions) if one.by is By.PRODUCT)
        everywhere: set[str | None] = {*self.products, *(str(key[place]) for key in self._sums)}
        for key, windows in self._open.items():
            for product in everywhere or {None}:
                of_product = self._with(key, product)
                if unseen := windows - self._seen[of_product]:
                    found = self._sums[of_product]
                    found.count(unknown=True, windows=unseen)
                    found.cost.windows_unknown += unseen if self.prices else 0

    def _takes(self, product: str) -> bool:
        return not self.products or product in self.products

    def _with(self, key: Key, product: str | None) -> Key:
        return tuple(
            product if one.by is By.PRODUCT else value for one, value in zip(self.dimensions, key, strict=True)
        )


def parts(dimensions: Sequence[Dimension]) -> Callable[[PresentOrg], Key]:
    """Return the function that says which orgs are summed together: those with the same value."""

    def part_of(org: PresentOrg) -> Key:
        return tuple(
            value
            for one in dimensions
            if one.of_org
            for value in ((org.name, org.org_id) if one.by is By.ORG else (_label(org, one),))
        )

    return part_of


def _label(org: PresentOrg, one: Dimension) -> str | None:
    """Return the value of a label. An empty one is none: a table and a CSV can't tell them apart."""
    return org.labels.get(one.label) or None


def order(key: Key) -> tuple[tuple[bool, str], ...]:
    """Return what keys are sorted by: values by their text, None first."""
    return tuple((value is not None, str(value)) for value in key)


def _order(item: tuple[Key, Sum]) -> tuple[tuple[bool, str], ...]:
    return order(item[0])


def _value(one: Dimension, window: PresentWindow) -> date | str | None:
    match one.by:
        case By.ORG:
            return window.org.name
        case By.LABEL:
            return _label(window.org, one)
        case By.POPULATION:
            return window.population.value
        case By.PRODUCT:
            return None
        case _:
            return period_of(window.window_date, one.by)


def groups_of(
    windows: Iterator[PresentWindow],
    dimensions: Sequence[Dimension],
    products: Collection[str] = (),
    prices: PriceList = NO_PRICES,
) -> Iterator[Group]:
    """Yield the groups of windows: those of orgs that are summed together, which have to follow each other."""
    part_of = parts(dimensions)
    groups, part = Groups(dimensions, products, prices), None
    for window in windows:
        now = part_of(window.org)
        if part is not None and now != part:
            yield from groups.rows()
        part = now
        groups.add(window)
    yield from groups.rows()
