"""The one reader of coverage: the history of orgs in the ledger, laid over what the config wants. Sends no request.

For one thread at a time. Each call reads only the orgs that it is given, so that its caller decides how long anything
may take. What is old and doesn't change is kept between two reads, so that a service reads on cheaply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from collector.app.calendars import refused_calendar
from collector.app.command import ages_of, first_wanted
from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig
from collector.config.sections import Schedule
from collector.core.calendar_changes import by_the_ledger
from collector.core.coverage_lines import CoverageLine, Unfetched, lines_of
from collector.core.coverage_summary import Period, org_coverage
from collector.core.grid import Grid
from collector.core.ledger_entries import CutOver, EarlierCalendar
from collector.core.org_coverage import OrgCoverage
from collector.core.org_history import History
from collector.core.wanted import Since, due_spans, on_boundaries, wanted_since
from collector.core.windows import Calendar
from collector.errors import RefusalReason, Refused
from collector.ledger import Organization, Readable
from collector.ledger.digest import Digest
from collector.ledger.history import HistoryQuery
from collector.model import Granularity, Org, Window, Zone

DAYS = 90
READ_AGAIN = timedelta(hours=1)  # whatever happens: other processes may write to the same ledger
LOCATE_AGAIN = timedelta(minutes=1)
LOCATE_UNKNOWN_AGAIN = timedelta(seconds=1)
_AT_ONCE = 100  # orgs in one transaction: other processes wait for it
_NO_FILES: frozenset[int] = frozenset()
_NOTHING = (History(), None)
_NO_MORE = "calendar_changed"  # why a window of an earlier calendar is missing: no run fetches it any more
_Calendar = tuple[str, Granularity]
_Position = tuple[datetime, date, frozenset[int]]  # what is due, the day, and the files in doubt


def since_of(
    org: Org, row: Organization | None, ranges: Sequence[Window], *, schedule: Schedule, now: datetime
) -> Since:
    """Return from when an org is wanted: as its row in the ledger says, else as the first `collect` would."""
    if row is None:
        return Since(wanted_from=first_wanted(org, schedule, now=now))
    since = Since(wanted_from=wanted_since(org, row.wanted_from), ranges=ranges, calendar_since=row.calendar_since)
    return on_boundaries(org, since)


@dataclass(frozen=True, slots=True)
class Part:
    """What is wanted of an org by one calendar, and until when that one held."""

    org: Org
    row: Organization | None
    since: Since
    until: datetime | None
    unfetched: Unfetched

    def wanted(self, settle: timedelta, now: datetime) -> Iterator[Window]:
        """Yield the spans of it that are wanted and ended longer ago than `settle`, oldest first."""
        until = None if self.until is None else Calendar(self.org.zone, self.org.granularity).floor(self.until)
        for span in due_spans(self.org, self.since, settle=settle, now=now):
            end = span.end if until is None else min(span.end, until)
            if span.start < end:
                yield Window(span.start, end)


class CoverageReader:
    """Reads what is known of orgs: of their newest `days` also the usage, or of all their days the states alone."""

    def __init__(self, config: LoadedConfig, scope: Scope = EVERYTHING, *, days: int | None = DAYS) -> None:
        self._scope = scope
        self._days = days
        self._grids: dict[_Calendar, Grid] = {}
        self._digests: dict[int, Digest] = {}
        self._read: dict[str, tuple[datetime, _Position]] = {}
        self._rows: Mapping[str, Organization] = {}
        self._in_doubt: Mapping[int, frozenset[int]] = {}
        self._seen: int | None = None  # of the ledger's changes
        self._changed: set[str] = set()
        self._source: Readable | None = None
        self.adopt(config)

    def adopt(self, config: LoadedConfig) -> None:
        """Go on with another config: everything is to be read again."""
        self._config = config
        self._schedule = config.settings.schedule
        self._orgs = {org.name: org for org in self._scope.of(config.orgs)}
        self._names = {org.name for org in config.orgs}  # of other shards too: a renamed org is recognised
        self._read.clear()
        self._located_at: datetime | None = None

    @property
    def names(self) -> Set[str]:
        """The orgs that are read, in the order of the config."""
        return self._orgs.keys()

    def stale(self, now: datetime) -> list[str]:
        """Return the orgs to read: never read, read long ago, other windows due, or other files in doubt by now."""
        orgs = [self._shown(org) for org in self._orgs.values()]
        periods = self._periods(orgs, now)
        stale = []
        for org in orgs:
            read = self._read.get(org.name)
            if read is None or now - read[0] >= READ_AGAIN or read[1] != self._position(org, periods):
                stale.append(org.name)
        return stale

    def changed(self) -> set[str]:
        """Return the orgs that the last reads found changed, by whichever process, and that were not read since."""
        return self._changed & self._orgs.keys()

    def read(self, ledger: Readable, names: Iterable[str], now: datetime) -> dict[str, OrgCoverage]:
        """Return the orgs of those names as the ledger has them now; without a name only see what changed.

        Raises LedgerError.
        """
        if ledger is not self._source:  # it was opened again: it may be another one by now
            self._source, self._located_at = ledger, None
            self._digests.clear()
            self._read.clear()
            self._seen = None
            self._changed.clear()
        chosen = [self._orgs[name] for name in dict.fromkeys(names) if name in self._orgs]
        self._look(ledger)
        rows = self._locate(ledger, chosen, now) if chosen else {}
        orgs = {org.name: self._shown(org) for org in chosen}
        periods = self._periods(orgs.values(), now)
        queries = [
            HistoryQuery(
                key=row.key,
                recent_from=periods[_calendar(orgs[name])].recent_from,
                in_doubt=self._in_doubt.get(row.key, _NO_FILES),
                digest=self._digests.get(row.key),
                names=(name,) if row.name in self._names else (name, row.name),
            )
            for name, row in rows.items()
        ]
        histories = dict(zip(rows, ledger.histories(queries), strict=True))
        if self._days is not None:  # else a digest is of all slices, and there is no next read
            self._digests |= {rows[name].key: digest for name, (_, digest) in histories.items()}
        found = {}
        for org in orgs.values():
            row, (history, _) = rows.get(org.name), histories.get(org.name, _NOTHING)
            since = since_of(org, row, history.ranges, schedule=self._schedule, now=now)
            period, identity = periods[_calendar(org)], (row.org_id, row.org_name) if row else (None, None)
            refused = self._refused(org.name)
            found[org.name] = org_coverage(org, since, history, period=period, identity=identity, refused=refused)
            self._read[org.name] = (now, self._position(org, periods))
        self._changed -= found.keys()
        return found

    def windows(self, ledger: Readable, org: OrgCoverage, now: datetime) -> Iterator[CoverageLine]:
        """Yield each wanted window that has ended of an org that was read before: also those of its earlier calendars.

        What bills a month has to see that its last day isn't due yet.

        Raises LedgerError.
        """
        entry, row = self._shown(self._orgs[org.name]), self._rows.get(org.name)
        ranges = ledger.wanted(row.key) if row else ()
        since = since_of(entry, row, ranges, schedule=self._schedule, now=now)
        if row is not None and row.calendar_since is not None:
            for part in earlier_parts(entry, row, ranges, ledger.earlier_calendars(row.key)):
                yield from self._lines(ledger, org.org_id, part, now)
        part = Part(entry, row, since, None, unfetched_of(org.credential.reason))
        yield from self._lines(ledger, org.org_id, part, now)

    def left_out(self, ledger: Readable, org: OrgCoverage, now: datetime) -> CutOver | None:
        """Return what isn't complete of an org, and is older than its present calendar. Raises LedgerError."""
        entry, row = self._shown(self._orgs[org.name]), self._rows.get(org.name)
        if row is None or row.calendar_since is None:
            return None
        since = since_of(entry, row, ledger.wanted(row.key), schedule=self._schedule, now=now)
        first = min([since.wanted_from, *(span.start for span in since.ranges)])
        whole = Window(first, row.calendar_since)
        return ledger.left_out(row.key, entry, whole) if first < row.calendar_since else None

    def _lines(self, ledger: Readable, org_id: str | None, part: Part, now: datetime) -> Iterator[CoverageLine]:
        """Yield the windows of an org by one calendar."""
        org, row = part.org, part.row
        grid = self._grids.setdefault(_calendar(org), Grid(Calendar(org.zone, org.granularity)))
        due = grid.calendar.floor(now - self._schedule.settle)
        for span in part.wanted(timedelta(0), now):
            yield from lines_of(
                org,
                org_id,
                grid.windows(span),
                ledger.accounts(row.key, span) if row else {},
                in_doubt=self._in_doubt.get(row.key, _NO_FILES) if row else _NO_FILES,
                unfetched=part.unfetched,
                due=due,
            )

    def _look(self, ledger: Readable) -> None:
        """See which orgs changed, and which files are in doubt, before anything is read of orgs."""
        changes, in_doubt = ledger.changes(self._seen), ledger.in_doubt()
        files = self._in_doubt.keys() | in_doubt.keys()
        keys = {*changes.keys, *(key for key in files if self._in_doubt.get(key) != in_doubt.get(key))}
        if keys:
            self._changed |= {name for name, row in self._rows.items() if row.key in keys}
        self._seen, self._in_doubt = changes.newest, in_doubt

    def read_all(self, ledger: Readable, now: datetime) -> dict[str, OrgCoverage]:
        """Return all orgs, some in each transaction. Raises LedgerError."""
        names = list(self._orgs)
        found: dict[str, OrgCoverage] = {}
        for first in range(0, len(names), _AT_ONCE):
            found |= self.read(ledger, names[first : first + _AT_ONCE], now)
        return found

    def _locate(self, ledger: Readable, orgs: list[Org], now: datetime) -> dict[str, Organization]:
        """Return the rows of orgs. One look finds all, and is kept for a while: longer where all are identified."""
        age = now - self._located_at if self._located_at else None
        identified = all((row := self._rows.get(org.name)) and row.org_id for org in orgs)
        if age is None or age < timedelta(0) or age >= (LOCATE_AGAIN if identified else LOCATE_UNKNOWN_AGAIN):
            self._rows = ledger.locate(list(self._orgs.values()), names=self._names)
            self._located_at = now
        return {org.name: self._rows[org.name] for org in orgs if org.name in self._rows}

    def _shown(self, org: Org) -> Org:
        """Return an org by the calendar of its windows in the ledger, where the one of the config is refused."""
        row = self._rows.get(org.name)
        return org if row is None or row.changed is None else by_the_ledger(org, row.changed)

    def _refused(self, name: str) -> Refused | None:
        """Return why the next run refuses the calendar of an org, if it will."""
        row = self._rows.get(name)
        return (
            None
            if row is None or row.changed is None
            else refused_calendar(self._config, self._orgs[name], row.changed)
        )

    def _periods(self, orgs: Iterable[Org], now: datetime) -> dict[_Calendar, Period]:
        """Return what is looked at of each calendar: many orgs share one."""
        periods: dict[_Calendar, Period] = {}
        for org in orgs:
            if (key := _calendar(org)) not in periods:
                grid = self._grids.setdefault(key, Grid(Calendar(org.zone, org.granularity)))
                periods[key] = Period.of(grid, ages_of(self._schedule), now, days=self._days)
        return periods

    def _position(self, org: Org, periods: Mapping[_Calendar, Period]) -> _Position:
        period, row = periods[_calendar(org)], self._rows.get(org.name)
        return period.due, period.last_day, self._in_doubt.get(row.key, _NO_FILES) if row else _NO_FILES


def unfetched_of(refused: RefusalReason | None) -> Unfetched:
    """Return what is said of windows that were never requested of an org, which may be refused."""
    return Unfetched(reason=f"refused_{refused}" if refused else None)


def earlier_parts(
    org: Org, row: Organization, ranges: Sequence[Window], calendars: Sequence[EarlierCalendar]
) -> Iterator[Part]:
    """Yield what was wanted of an org by each calendar before its present one, oldest first."""
    for one in calendars:
        old = replace(org, zone=Zone.parse(one.zone), granularity=Granularity(one.granularity), since=None)
        since = Since(wanted_from=row.wanted_from, ranges=ranges, calendar_since=one.since)
        yield Part(old, row, on_boundaries(old, since), one.until, Unfetched(reason=_NO_MORE))


def _calendar(org: Org) -> _Calendar:
    return (org.zone.name, org.granularity)
