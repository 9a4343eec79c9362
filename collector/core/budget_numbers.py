"""What a budget counts in a window, and which of its products have no number to be counted. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from collector.core.budgets import Budget, BudgetMetric
from collector.core.grouping import NO_PRICES
from collector.core.present import KNOWN, PresentWindow
from collector.core.prices import PriceList
from collector.model import ProductUsage


class Number(NamedTuple):
    """A budget's number in one window: as the API counts it, or of costs in shares of the prices' scale."""

    value: int  # of what is known
    unknown: bool
    not_priced: Collection[str] = ()  # products with usage that has no price
    priced: Collection[str] = ()  # products that have a price, used or not


def number_of(window: PresentWindow, budget: Budget, prices: PriceList = NO_PRICES) -> Number:
    """Return what is known of a budget's number in a window."""
    products = budget.products
    if budget.metric is BudgetMetric.COST:
        cost = prices.cost_of(window, products)
        value = sum(one.shares for one in cost.charges)
        return Number(value, cost.unknown, cost.not_priced, {one.product for one in cost.charges})
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


class Sought:
    """Looks for a budget's products and their number in windows: a misspelt product must not be 0 for ever.

    The API lists each product, unused ones with 0. So a product without a record in whole answers doesn't exist there.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._open = set(budget.products)  # that have not been found with a number
        self._any_number = False
        self._recorded: set[str] = set()
        self._lacking: set[str] = set()  # whose known record is without the number
        self._denied: set[str] = set()  # that are not in a whole answer

    def look(self, window: PresentWindow) -> None:
        """Look at a window."""
        if self._any_number and not self._open:
            return
        for product, emitted in window.products.items():
            if self._budget.products and product not in self._open:
                continue
            self._recorded.add(product)
            if emitted.quality not in KNOWN:
                continue
            if self._budget.metric is BudgetMetric.COST or _of(emitted.usage, self._budget.metric) is not None:
                self._any_number = True
                self._open.discard(product)
            else:
                self._lacking.add(product)
        self._denied.update(one for one in self._open if one not in window.products and window.knows(one))

    @property
    def absent(self) -> tuple[str, ...]:
        """The budget's products that no window has, though some would."""
        found = (self._open & self._denied) - self._recorded
        return tuple(one for one in self._budget.products if one in found)

    @property
    def without_number(self) -> tuple[str, ...]:
        """The budget's products whose records never have its number."""
        return tuple(one for one in self._budget.products if one in self._open & self._lacking)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to count: so it is unknown, and not 0."""
        if self._any_number:
            return False
        products = self._budget.products
        return bool(self._lacking) if not products else len(self.absent) + len(self.without_number) == len(products)
