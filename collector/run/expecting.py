"""What a reconcile expects of a batch, by what the ledger has now; and which windows of the range it leaves out.

Used by the planning: it reads on the writer's thread, and notes what is left out when the run goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from collector.core.collected import Collected
from collector.core.coverage import Coverage, Known
from collector.core.extent import Extent
from collector.core.org_coverage import CoverageState
from collector.core.plan import Batch, Expected
from collector.core.summary import OrgSummary
from collector.core.totals import Totals
from collector.core.wanted import ReconcileWanted
from collector.model import Org, Population, SliceState, Window
from collector.ports import Ledger

UNAVAILABLE = "unavailable"  # complete, but a number isn't known: never summed
EARLIER_CALENDAR = "earlier_calendar"  # no run fetches such windows any more

Key = tuple[str, Population]  # of the config's entry


class Expecting:
    """What was collected, as far as it can be compared."""

    def __init__(self, ledger: Ledger, wanted: ReconcileWanted) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._left_out: dict[Key, dict[str, Extent]] = defaultdict(dict)
        self._unavailable: dict[Key, Extent] = defaultdict(Extent)
        self._seen: dict[Key, datetime] = {}  # the start of the newest window that was looked at

    def look(self, org: Org, windows: Iterable[Window], coverage: Coverage) -> None:
        """Find which windows of the whole range are not compared, by their state."""
        found: dict[Key, dict[str, Extent]] = {(org.name, population): {} for population in org.populations}
        for window in windows:
            for population in org.populations:
                known = coverage.get((population, window.start))
                if not self._wanted.needs(org, window, known) and (state := self._state(org, window, known)):
                    found[org.name, population].setdefault(state.value, Extent()).add(window)
        for why, part in self._parts(org):
            for states in found.values():
                states.setdefault(why, Extent()).add(part, slices=0)
        self._left_out |= found

    def expect(self, key: int, batch: Batch) -> Batch:
        """Return the batch with what was collected of its slices. Raises LedgerError."""
        if batch.searched is None:
            return batch
        collected: dict[Population, Collected] = {}
        for population in batch.org.populations:
            windows = [slice_.window for slice_ in batch.slices if slice_.population is population]
            if windows:
                span = Window(windows[0].start, windows[-1].end)
                totals = self._known(batch.org, population, windows, self._ledger.emitted(key, population, span))
                collected[population] = Collected(totals)
        starts = {(population, start) for population, known in collected.items() for start in known}
        expected = Expected(collected=collected, may_be_deleted=self._wanted.may_be_deleted)
        return replace(batch, searched=replace(batch.searched, starts=starts, expected=expected))

    def note(self, summary: OrgSummary) -> None:
        """Let the summary of an org say what is left out."""
        for name, population in summary.populations.items():
            if population.comparison is not None:
                key = (summary.org.name, name)
                population.comparison.looked = True
                unavailable = self._unavailable[key]
                left_out = dict(self._left_out[key])
                population.comparison.left_out = left_out | ({UNAVAILABLE: unavailable} if unavailable.slices else {})

    def _known(
        self, org: Org, population: Population, windows: list[Window], emitted: Mapping[datetime, Totals | None]
    ) -> dict[datetime, Totals]:
        """Return the totals of those windows of which all are known."""
        key = (org.name, population)
        known = {}
        for window in windows:
            totals = emitted.get(window.start)
            if totals is not None:
                known[window.start] = totals
            elif key not in self._seen or window.start > self._seen[key]:
                self._unavailable[key].add(window)
        self._seen[key] = max(windows[-1].start, self._seen.get(key, windows[-1].start))
        return known

    def _parts(self, org: Org) -> Iterator[tuple[str, Window]]:
        """Yield the parts of the range that have no windows to look at, and why."""
        if older := self._wanted.before_calendar(org):
            yield EARLIER_CALENDAR, older
        if unwanted := self._wanted.before_since(org):
            yield CoverageState.NOT_WANTED.value, unwanted

    def _state(self, org: Org, window: Window, known: Known | None) -> CoverageState | None:
        """Return the state of a window that isn't compared; None if it doesn't count."""
        if known is not None and known.state not in (SliceState.COMPLETE, SliceState.NOT_ASKED):
            return CoverageState(known.state.value)
        if known is not None or self._wanted.is_wanted(org, window):
            return CoverageState.MISSING
        return CoverageState.NOT_WANTED if self._wanted.is_about_range else None
