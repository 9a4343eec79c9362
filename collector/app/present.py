"""The one reader of numbers: what is known now of each window of orgs, out of the ledger alone.

It reads some windows at a time, so that any number of orgs costs the memory of a few hundred windows. Each piece is one
consistent state of the ledger; other processes go on to write meanwhile. Sends no request and writes nothing. For one
thread at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby

from collector.app.coverage import Part, earlier_parts, since_of, unfetched_of
from collector.app.present_orgs import Target, choose
from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.coverage_lines import Unfetched, state_of
from collector.core.grid import Grids
from collector.core.ledger_entries import Restatement
from collector.core.present import PresentOrg, PresentWindow, RestatedRecord, Stored, restated
from collector.core.ranges import Moment, Range, select
from collector.core.wanted import Since
from collector.core.windows import Calendar
from collector.errors import ConfigError, RefusalReason
from collector.ledger import LedgerReader
from collector.model import Org, Population, SliceState, Window

_ORGS = 100  # whose ranges are read at once
_SLICES = 500  # in one piece
_FEW = 64
_TICK = timedelta(microseconds=1)
_ALWAYS = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_NO_FILES: frozenset[int] = frozenset()


class PresentReader:
    """Reads the windows of a config's orgs in a scope, and of those that the config had and has no more.

    With a range, only the windows that it selects on each calendar. Raises ConfigError for a range or a scope that
    fits nothing, and LedgerError.
    """

    def __init__(
        self, ledger: LedgerReader, config: LoadedConfig, scope: Scope, *, now: datetime, range_: Range | None = None
    ) -> None:
        self._ledger, self._config, self._scope = ledger, config, scope
        self._range, self._now = range_, now
        self._grids = Grids()
        self.not_wanted: Counter[str] = Counter()  # windows of the range, by org, that nobody wants and nothing has
        self._in_doubt = ledger.in_doubt()
        self._names = frozenset(org.name for org in config.orgs)
        self._targets = choose(ledger, config, scope)
        for target in self._targets:
            self._selected(target.entry)

    @property
    def orgs(self) -> Sequence[PresentOrg]:
        """The orgs that are read."""
        return [target.org for target in self._targets]

    @property
    def entries(self) -> Sequence[Org]:
        """The orgs with their calendars: those of the config, or of the ledger where the config has none."""
        return [target.entry for target in self._targets]

    def keep(self, is_kept: Callable[[PresentOrg], bool]) -> None:
        """Read only some of the orgs."""
        self._targets = [target for target in self._targets if is_kept(target.org)]

    def sort(self, key: Callable[[PresentOrg], tuple[object, ...]]) -> None:
        """Read orgs in another order than that of the config."""
        self._targets.sort(key=lambda target: key(target.org))

    def windows(self) -> Iterator[PresentWindow]:
        """Yield each window that is wanted and due, or of which there are records: by org, population and time."""
        for target, parts in self._parts():
            stored = self._scope.populations or tuple(Population)
            for population in stored:
                for part in parts:
                    yield from self._windows(target, part, population)

    def restated(
        self, since: Moment | datetime, *, but: str | None = None, products: Collection[str] = ()
    ) -> Iterator[RestatedRecord]:
        """Yield the records that were restated since an instant, also those that are as before again.

        A moment is read in each org's zone. Restatements by the run `but` are left out.
        """
        zones = {target.org.name: target.entry.zone for target in self._targets}
        for window, of in self.restated_windows(since):
            instant = since if isinstance(since, datetime) else since.as_start(zones[window.org.name])
            yield from restated(window, [one for one in of if one.run_id != but], products, since=instant)

    def restated_windows(self, since: Moment | datetime) -> Iterator[tuple[PresentWindow, Sequence[Restatement]]]:
        """Yield the windows of which records were restated since an instant, with these restatements, oldest first.

        A moment is read in each org's zone.
        """
        for target, parts in self._parts():
            if target.row is None:
                continue
            instant = since if isinstance(since, datetime) else since.as_start(target.entry.zone)
            found = self._ledger.restatements(target.row.key, instant)
            for population, of in groupby(found, key=lambda one: one.slice.population):
                if not self._scope.populations or population in self._scope.populations:
                    by_start: dict[datetime, list[Restatement]] = {}
                    for one in of:
                        by_start.setdefault(one.slice.start, []).append(one)
                    yield from self._restated(target, parts, population, by_start)

    def _restated(
        self,
        target: Target,
        parts: Sequence[Part],
        population: Population,
        by_start: Mapping[datetime, Sequence[Restatement]],
    ) -> Iterator[tuple[PresentWindow, Sequence[Restatement]]]:
        for part in parts:
            span = self._span(part)
            starts = [start for start in by_start if span is not None and span.start <= start < span.end]
            while starts:
                found = self._contents(target, population, Window(starts[0], starts[-1] + _TICK), limit=_FEW)
                for stored in found:
                    start = stored.account.start
                    if start in by_start:
                        yield self._window(target, part, population, Window(start, stored.end), stored), by_start[start]
                starts = [start for start in starts if found and start > found[-1].account.start]

    def _windows(self, target: Target, part: Part, population: Population) -> Iterator[PresentWindow]:
        span = self._span(part)
        if span is None:
            return
        grid = self._grids.of(part.org)
        wants = target.org.in_config and population in target.entry.populations
        settle = self._config.settings.schedule.settle
        due = grid.calendar.floor(self._now - settle)
        # Who asks for a range wants to know of each day in it: also of those that ended and aren't due yet.
        spans = part.wanted(settle if self._range is None else timedelta(0), self._now) if wants else ()
        clipped = (Window(max(one.start, span.start), min(one.end, span.end)) for one in spans if _touch(one, span))
        wanted = chain.from_iterable(map(grid.windows, clipped))
        found = 0
        for window, stored, is_wanted in _merged(wanted, self._stored(target, population, span)):
            if is_wanted or (stored and (stored.emission is not None or not target.org.in_config)):
                found += 1
                yield self._window(target, part, population, window, stored, is_due=window.end <= due)
        if wants and self._range is not None:
            whole = grid.windows_in(span)
            self.not_wanted[target.org.name] += max(0, (whole[0] if whole else 0) - found)

    def _window(
        self,
        target: Target,
        part: Part,
        population: Population,
        window: Window,
        stored: Stored | None,
        *,
        is_due: bool = True,
    ) -> PresentWindow:
        org, row = part.org, target.row
        account = stored.account if stored else None
        in_doubt = self._in_doubt.get(row.key, _NO_FILES) if row else _NO_FILES
        state, reason = state_of(account, in_doubt, part.unfetched, is_due=is_due)
        start = window.start.astimezone(org.zone.tz)
        return PresentWindow(
            org=target.org,
            population=population,
            granularity=org.granularity,
            timezone=org.zone.name,
            window_date=start.date(),
            window_start=start,
            window_end=window.end.astimezone(org.zone.tz),
            state=state,
            reason=reason,
            fetched_at=account.asked_at if account and account.known.state is not SliceState.NOT_ASKED else None,
            anomalies=account.anomalies if account else {},
            emission=stored.emission if stored else None,
        )

    def _stored(self, target: Target, population: Population, span: Window) -> Iterator[Stored]:
        first = span.start
        while True:
            found = self._contents(target, population, Window(first, span.end), limit=_SLICES)
            yield from found
            if len(found) < _SLICES or (first := found[-1].account.start + _TICK) >= span.end:
                return

    def _contents(self, target: Target, population: Population, span: Window, *, limit: int) -> Sequence[Stored]:
        return self._ledger.contents(target.row.key, population, span, limit=limit) if target.row else ()

    def _span(self, part: Part) -> Window | None:
        """Return the time of a part that the range selects; None if it selects nothing."""
        span = self._selected(part.org)
        if span is None:
            return None
        start = max(span.start, part.since.calendar_since or span.start)
        end = span.end if part.until is None else min(span.end, part.until)
        return Window(start, end) if start < end else None

    def _selected(self, org: Org) -> Window | None:
        if self._range is None:
            return _ALWAYS
        calendar = Calendar(org.zone, org.granularity)
        try:
            return select(self._range, calendar, now=self._now, settle=timedelta(0)).span
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def _parts(self) -> Iterator[tuple[Target, Sequence[Part]]]:
        """Yield each org with its calendars, oldest first, and what is wanted by each."""
        for first in range(0, len(self._targets), _ORGS):
            batch = self._targets[first : first + _ORGS]
            keys = [target.row.key for target in batch if target.row]
            ranges, refusals = self._ledger.wanted_of(keys), self._ledger.refusals_of(keys)
            for target in batch:
                key = target.row.key if target.row else None
                of = {} if key is None else refusals.get(key, {})
                refused = next((one.reason for name, one in of.items() if name in self._names_of(target)), None)
                yield target, list(self._parts_of(target, () if key is None else ranges.get(key, ()), refused))

    def _parts_of(self, target: Target, ranges: Sequence[Window], refused: RefusalReason | None) -> Iterator[Part]:
        entry, row = target.entry, target.row
        if row is not None and row.calendar_since is not None:
            yield from earlier_parts(entry, row, ranges, self._ledger.earlier_calendars(row.key))
        if not target.org.in_config:
            assert row is not None  # noqa: S101 - for the types
            since = Since(wanted_from=row.wanted_from, calendar_since=row.calendar_since)
            yield Part(entry, row, since, None, Unfetched())
            return
        since = since_of(entry, row, ranges, schedule=self._config.settings.schedule, now=self._now)
        calendar = RefusalReason.CALENDAR if row is not None and row.changed is not None else None
        yield Part(entry, row, since, None, unfetched_of(calendar or refused))

    def _names_of(self, target: Target) -> Collection[str]:
        """Return the entries of an org that may be refused: also its former name, if no other entry has that now."""
        name, row = target.org.name, target.row
        return {name} if row is None or row.name in self._names else {name, row.name}


def _touch(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _merged(wanted: Iterator[Window], stored: Iterator[Stored]) -> Iterator[tuple[Window, Stored | None, bool]]:
    """Yield windows with what is stored of them, oldest first, and whether they are wanted."""
    window, found = next(wanted, None), next(stored, None)
    while window is not None or found is not None:
        if found is None or (window is not None and window.start < found.account.start):
            assert window is not None  # noqa: S101 - for the types
            yield window, None, True
            window = next(wanted, None)
        elif window is None or found.account.start < window.start:
            yield Window(found.account.start, found.end), found, False
            found = next(stored, None)
        else:
            yield Window(window.start, found.end), found, True
            window, found = next(wanted, None), next(stored, None)
