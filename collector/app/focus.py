"""The rows of FOCUS datasets, out of the ledger: first what was restated after its month was closed, then the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from collector.app.present import PresentReader
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.columns import Row
from collector.core.costs import Rounding
from collector.core.focus import DECIMALS, Focus, months_of
from collector.core.grouping import By, period_of
from collector.core.ledger_entries import Restatement
from collector.core.periods import Period
from collector.core.present import PresentWindow
from collector.ledger import LedgerReader
from collector.model import Population

_Key = tuple[str, Population, datetime]


class FocusReader:
    """Reads the rows of whole months. Raises ConfigError for a scope that fits nothing, and LedgerError.

    `note` is told of each window of these months.
    """

    def __init__(
        self,
        ledger: LedgerReader,
        config: LoadedConfig,
        scope: Scope,
        *,
        now: datetime,
        period: Period,
        products: Collection[str] = (),
        note: Callable[[PresentWindow], None] = lambda _: None,
    ) -> None:
        self._focus = Focus(config.prices, frozenset(months_of(period.first, period.last)), products)
        self._now, self._note = now, note
        self.since = self._focus.books.closed_at(period.before().last.replace(day=1))
        self.reader = PresentReader(ledger, config, scope, now=now, range_=period.as_range())
        self._all = PresentReader(ledger, config, scope, now=now)
        self.rounding = Rounding(DECIMALS)

    def rows(self) -> Iterator[Row]:
        """Yield the rows; meanwhile `rounding` has their total."""
        changed: dict[_Key, PresentWindow] = {}  # by a run beside this: its restatements have to be read once more
        done: set[_Key] = set()
        for window, restatements in self._all.restated_windows(self.since):
            if restatements[-1].at > self._focus.books.closed_at(period_of(window.window_date, By.MONTH)):
                done.add(_key(window))
                yield from self._rows(window, restatements, changed)
        for window in self.reader.windows():
            if period_of(window.window_date, By.MONTH) in self._focus.months:  # a week may begin in the month before
                self._note(window)
                if _key(window) not in done:
                    yield from self._rows(window, (), changed)
        if changed:
            for window, restatements in self._all.restated_windows(self.since):
                if changed.pop(_key(window), None) is not None:
                    yield from self._rows(window, restatements, None)
            for window in changed.values():
                yield from self._rows(window, (), None)

    def _rows(
        self, window: PresentWindow, restatements: Sequence[Restatement], changed: dict[_Key, PresentWindow] | None
    ) -> Iterator[Row]:
        """Yield the rows of a window, or note that it has changed since this began."""
        if changed is not None and window.emission is not None and window.emission.emitted_at > self._now:
            changed[_key(window)] = window
            return
        for row, cost in self._focus.rows(window, restatements):
            self.rounding.row(cost)
            yield row


def _key(window: PresentWindow) -> _Key:
    return window.org.name, window.population, window.window_start
