"""Totals per product and metric: numbers that add up over adjoining windows.

Users are distinct, and never among them; nor is what is no whole number, such as a text that a new product has.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collector.core.emission import Emission
from collector.model import ProductUsage, Quality

Key = tuple[str, str]  # product and metric
Totals = Counter[Key]  # equal to one that lacks what is zero


def totals(products: Mapping[str, ProductUsage]) -> Totals:
    """Return the totals of an answer's products."""
    found: Totals = Counter()
    for product, usage in products.items():
        for metric, value in _metrics(usage):
            if value:
                found[product, metric] += value
    return found


def totals_of(emission: Emission | None) -> Totals | None:
    """Return the totals of what was emitted for a slice; None if any number of it is unknown."""
    if emission is None or any(one.quality is Quality.UNAVAILABLE for one in emission.products.values()):
        return None
    return totals({product: one.usage for product, one in emission.products.items()})


def differences(one: Totals, other: Totals) -> Totals:
    """Return what must be added to one to get the other; nothing for what is equal."""
    return Counter({key: other[key] - one[key] for key in {*one, *other} if one[key] != other[key]})


def _metrics(usage: ProductUsage) -> Iterator[tuple[str, int]]:
    yield "tests", usage.total_tests or 0
    yield "duration", usage.total_duration or 0
    yield "screenshots", usage.total_screenshots or 0
    for metric, value in usage.extra.items():
        if isinstance(value, int) and not isinstance(value, bool):
            yield metric, value


@dataclass(slots=True)
class Series:
    """The totals of a sequence of windows, by their place in it: 8 bytes for each number."""

    length: int = 0
    _columns: dict[Key, Sequence[int]] = field(default_factory=dict)

    def append(self, one: Totals) -> None:
        """Add the next window."""
        for key in one.keys() - self._columns.keys():
            self._columns[key] = array("q", bytes(8 * self.length))
        for key, column in self._columns.items():
            self._columns[key] = _extended(column, one[key])
        self.length += 1

    def sum(self, first: int = 0, end: int | None = None) -> Totals:
        """Return the totals of the windows in places `first` to `end`, without the last."""
        return Counter({key: total for key, column in self._columns.items() if (total := sum(column[first:end]))})


def _extended(column: Sequence[int], value: int) -> Sequence[int]:
    """Return the column with one more number; as a list from the first number on that has more than 64 bits."""
    if isinstance(column, array):
        try:
            column.append(value)
        except OverflowError:
            return [*column, value]
        return column
    return [*column, value]
