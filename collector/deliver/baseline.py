"""Recent history, for anomaly checks: each population's last four weeks, and the other population's same window.

Read from the ledger once for each org that is worked on, and bounded: it doesn't grow with
the range. Decides nothing: `core.anomalies` does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from collector.core.anomalies import Anomalies, History, anomalies, past_of
from collector.core.emission import Emission
from collector.core.finding import Finding
from collector.core.ledger_entries import SliceKey
from collector.model import Granularity, Population, Slice, SliceState, Window
from collector.ports import Ledger

_REMEMBERED = 512  # populations of orgs
_TWINS = 4096  # slices
_IN_FOUR_WEEKS = {Granularity.HOUR: 28 * 24, Granularity.DAY: 28, Granularity.WEEK: 4, Granularity.MONTH: 1}


@dataclass(slots=True)
class _Recent:
    """The past of one population: all that is complete from four weeks before `since` on."""

    since: datetime
    past: History


class Baseline:
    """The recent history of one run: what the ledger holds, and what the run itself has seen."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._recent: OrderedDict[tuple[str, Population], _Recent] = OrderedDict()
        self._seen: OrderedDict[tuple[str, Population, datetime], Emission] = OrderedDict()

    def anomalies(
        self, slice_: Slice, key: SliceKey, finding: Finding, *, twins: dict[Population, Emission]
    ) -> Anomalies:
        """Return the anomalies of an answer; `twins` are other populations' complete emissions, as committed."""
        recent = self._past(slice_, key)
        start = slice_.window.start
        twin = next(
            (
                emission
                for population in slice_.org.populations
                if population is not slice_.population
                and (emission := self._seen.get((slice_.org.name, population, start)) or twins.get(population))
            ),
            None,
        )
        return anomalies(slice_.window, finding, past=recent.past, twin=twin)

    def note(self, slice_: Slice, emission: Emission) -> None:
        """Remember a complete slice as it now stands."""
        name, start = slice_.org.name, slice_.window.start
        self._seen[name, slice_.population, start] = emission
        while len(self._seen) > _TWINS:
            self._seen.popitem(last=False)
        recent = self._recent.get((name, slice_.population))
        if recent is not None:
            recent.past.add(past_of(slice_.window, emission))
            if len(recent.past) > 3 * _IN_FOUR_WEEKS[slice_.org.granularity]:
                recent.since = max(recent.since, start)
                recent.past = recent.past.since(start)

    def _past(self, slice_: Slice, key: SliceKey) -> _Recent:
        name = (slice_.org.name, slice_.population)
        start = slice_.window.start
        recent = self._recent.get(name)
        if recent is None or start < recent.since:
            past = self._load(slice_, key)
            for one in recent.past if recent else ():
                past.add(one)
            recent = self._recent[name] = _Recent(since=start, past=past)
        self._recent.move_to_end(name)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return recent

    def _load(self, slice_: Slice, key: SliceKey) -> History:
        rows = self._ledger.recent(
            key.key, key.population, before=slice_.window.start, limit=_IN_FOUR_WEEKS[slice_.org.granularity]
        )
        return History(
            past_of(Window(row.start, row.end), row.emission)
            for row in rows
            if row.emission is not None and row.known.state is SliceState.COMPLETE
        )
