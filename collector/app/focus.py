"""The rows of FOCUS datasets, out of the ledger: first what was restated after its month was closed, then the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from collector.app.present import PresentReader
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.columns import Row
from collector.core.costs import LeftOut, Rounding
from collector.core.focus import DECIMALS, Focus, months_of
from collector.core.grouping import By, period_of
from collector.core.periods import Period
from collector.ledger import LedgerReader
from collector.model import Population


class FocusReader:
    """Reads the rows of whole months. Raises ConfigError for a scope that fits nothing, and LedgerError."""

    def __init__(
        self,
        ledger: LedgerReader,
        config: LoadedConfig,
        scope: Scope,
        *,
        now: datetime,
        period: Period,
        products: Collection[str] = (),
    ) -> None:
        self._focus = Focus(config.prices, frozenset(months_of(period.first, period.last)), products)
        self._products = products
        self.since = self._focus.books.closed_at(period.before().last.replace(day=1))
        self.reader = PresentReader(ledger, config, scope, now=now, range_=period.as_range())
        self._all = PresentReader(ledger, config, scope, now=now)
        self.rounding = Rounding(DECIMALS)
        self.left_out = LeftOut()

    def rows(self) -> Iterator[Row]:
        """Yield the rows; meanwhile `rounding` and `left_out` are counted, the latter of the months' own windows."""
        done: set[tuple[str, Population, datetime]] = set()
        for window, restatements in self._all.restated_windows(self.since):
            if restatements[-1].at > self._focus.books.closed_at(period_of(window.window_date, By.MONTH)):
                done.add((window.org.name, window.population, window.window_start))
                for row, cost in self._focus.rows(window, restatements):
                    self.rounding.row(cost)
                    yield row
        for window in self.reader.windows():
            if period_of(window.window_date, By.MONTH) in self._focus.months:  # a week may begin in the month before
                self.left_out.add(self._focus.prices.cost_of(window, self._products))
                if (window.org.name, window.population, window.window_start) not in done:
                    for row, cost in self._focus.rows(window, ()):
                        self.rounding.row(cost)
                        yield row
