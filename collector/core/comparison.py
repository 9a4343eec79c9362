"""What the API says now of the windows of a population, against what had been collected.

Totals are per product and metric. Users are distinct: they don't add up, and are never compared. Numbers that are
unavailable are never summed: their windows are left out, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collector.core.collected import added
from collector.core.extent import Extent
from collector.core.totals import Metric, Totals
from collector.model import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number: what the API says now, and what had been collected."""

    metric: Metric
    api: int | float
    collected: int | float

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
    restated: Extent = field(default_factory=Extent)  # windows whose records were restated
    kept: Extent = field(default_factory=Extent)  # windows whose earlier, larger numbers stay
    left_out: Mapping[str, Extent] = field(default_factory=dict)  # windows that are not complete, by their state

    def add(self, windows: int, *, api: Totals, collected: Totals) -> None:
        """Add what the API says of a span of windows."""
        self.windows += windows
        self.api, self.collected = added(self.api, api), added(self.collected, collected)

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
        return [Row(metric=m, api=self.api.get(m, 0), collected=self.collected.get(m, 0)) for m in metrics]

    @property
    def differs(self) -> bool:
        """Whether any number was another one than the API's."""
        return any(row.difference for row in self.rows)

    @property
    def is_whole(self) -> bool:
        """Whether all windows could be compared."""
        return not self.left_out
