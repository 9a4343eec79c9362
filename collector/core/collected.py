"""What was last emitted for windows, as totals that add up: what a reconcile expects of the API."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, MutableSequence
from datetime import datetime

from collector.core.emission import Emission
from collector.core.totals import Metric, Totals, totals_of_products
from collector.model import Quality


def collected_of(emission: Emission) -> Totals | None:
    """Return the whole numbers above zero of what was emitted for a slice; None if any number is unknown."""
    if any(one.quality is Quality.UNAVAILABLE for one in emission.products.values()):
        return None
    return whole(totals_of_products({product: one.usage for product, one in emission.products.items()}))


def whole(totals: Totals) -> dict[Metric, int]:
    """Return those numbers that are whole and not zero: sums of others are not exact."""
    return {metric: number for metric, number in totals.items() if isinstance(number, int) and number}


def added(one: Totals, other: Totals) -> dict[Metric, int | float]:
    """Return the sum of two totals."""
    return {metric: one.get(metric, 0) + other.get(metric, 0) for metric in dict.fromkeys([*one, *other])}


class Collected(Mapping[datetime, Totals]):
    """Totals by the start of their window, in columns: some bytes for each number, however many windows there are."""

    def __init__(self, totals: Mapping[datetime, Totals]) -> None:
        self._places = {start: place for place, start in enumerate(totals)}
        self._columns = {
            metric: _column([one.get(metric, 0) for one in totals.values()])
            for metric in dict.fromkeys(metric for one in totals.values() for metric in one)
        }

    def __getitem__(self, start: datetime) -> Totals:
        """Return the totals of a window."""
        place = self._places[start]
        return {metric: number for metric, column in self._columns.items() if (number := column[place])}

    def __iter__(self) -> Iterator[datetime]:
        """Yield the starts of the windows."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return how many windows there are."""
        return len(self._places)


def _column(numbers: list[int | float]) -> MutableSequence[int] | list[int | float]:
    try:
        return array("q", numbers)  # type: ignore[arg-type]
    except (OverflowError, TypeError):
        return numbers
