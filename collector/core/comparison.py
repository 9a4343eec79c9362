"""What the API says now of the windows of a population, against what had been collected.

Totals are per product and metric. Users are distinct: they don't add up, and are never compared. Numbers that are
unavailable are never summed: their windows are left out, and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collector.core.collected import added
from collector.core.comparing import Compared
from collector.core.extent import Extent
from collector.core.totals import Metric, Totals
from collector.model import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number: what the API says now, and what had been collected."""

    metric: Metric
    api: int | float
    collected: int | float
    changed: int = 0  # windows in which it is another number
    more: bool = False  # whether it may be more windows: the search for them ended early

    @property
    def difference(self) -> int | float:
        """What the API says more."""
        return self.api - self.collected


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One population of one org. What is compared is as it was before anything was restated."""

    windows: int = 0  # that were compared
    api: Totals = field(default_factory=dict)
    collected: Totals = field(default_factory=dict)
    changed: Counter[Metric] = field(default_factory=Counter)  # windows in which a number is another one
    more: set[Metric] = field(default_factory=set)  # numbers that may be others in more windows than were found
    restated: Extent = field(default_factory=Extent)  # windows whose records were restated
    kept: Extent = field(default_factory=Extent)  # windows whose earlier, larger numbers stay
    left_out: Mapping[str, Extent] = field(default_factory=dict)  # windows that are not complete, by their state
    looked: bool = False  # whether the run came to the population, and saw what there is to compare

    def add(self, one: Compared) -> None:
        """Add what the API says of a span of windows. What changed in it may be undone in another one: both count."""
        self.windows += one.windows
        self.api, self.collected = added(self.api, one.api), added(self.collected, one.collected)
        self.changed.update(one.differing)
        self.more |= set() if one.is_searched else one.differing.keys()

    def committed(self, window: Window, *, restated: int, kept: Iterable[str]) -> None:
        """Note what became of a window that was fetched again."""
        if restated:
            self.restated.add(window)
        if list(kept):
            self.kept.add(window)

    @property
    def rows(self) -> list[Row]:
        """All numbers, in the order of the products."""
        metrics = dict.fromkeys([*self.api, *self.collected])
        return [
            Row(
                metric=metric,
                api=self.api.get(metric, 0),
                collected=self.collected.get(metric, 0),
                changed=self.changed[metric],
                more=metric in self.more,
            )
            for metric in metrics
        ]

    @property
    def differs(self) -> bool:
        """Whether any number of any span was another one than the API's, or anything was restated.

        The sums over the range may be the same: what was re-dated from one span to another cancels in them.
        """
        return bool(self.changed or self.restated.slices or self.kept.slices)
