"""What a command fetches from an org: the span that it considers, and which windows of that span.

`collect` considers the time that catching up, repairing and rechecking need; `backfill` considers
its range. Whether a window needs fetching follows from its coverage (`coverage`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.core.coverage import Ages, Known, by_wrong_clock, to_backfill, to_collect, to_relabel
from collector.core.plan import Needs, Searching
from collector.core.ranges import Between, Range, select
from collector.core.windows import Calendar, merge, start_of_date
from collector.model import Org, Population, SliceState, Window

_HALF_A_DAY = timedelta(hours=12)
_ANSWERED = frozenset({SliceState.COMPLETE, SliceState.PARTIAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """From when an org is wanted: by every run, by backfills, and never before its present calendar began."""

    wanted_from: datetime
    ranges: Sequence[Window] = ()
    calendar_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectWanted:
    """What a `collect` fetches: new windows, gaps, repairs, rechecks."""

    now: datetime
    ages: Ages
    since: dict[str, Since]  # by org name

    def span(self, org: Org) -> Window | None:
        """Return the span of whole windows that the command considers; None if there is none."""
        calendar = Calendar(org.zone, org.granularity)
        start = max(calendar.floor(self.now - self.ages.horizon), earliest(org, self.since[org.name]))
        end = calendar.floor(self.now - self.ages.settle)
        return Window(start, end) if start < end else None

    def needs(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window needs fetching, given its coverage in the ledger."""
        return _is_wanted(self.since[org.name], window) and to_collect(window, known, self.ages, now=self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """Which windows may be inferred to be empty.

    Not those that are so old that their zeros are unverified, nor those that are fetched again for late data.
    """

    trust_zero_for: timedelta
    rechecked_for: timedelta  # the greatest age of `recheck`
    max_span: timedelta

    def accepts(self, window: Window, known: Known | None, *, now: datetime) -> bool:
        """Return whether a window may be inferred to be empty. What has records, or a state of its own, is measured."""
        nothing_of_it = known is None or (known.state not in _ANSWERED and not known.emitted)
        return nothing_of_it and self.rechecked_for < now - window.end <= self.trust_zero_for


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfRange:
    """What a command wants of the range that it was given, by each org's present calendar."""

    now: datetime
    settle: timedelta
    range_: Range
    since: dict[str, Since]

    def span(self, org: Org) -> Window | None:
        """Return the span of whole windows that the command considers; None if there is none."""
        span, began = self._selected(org), self.since[org.name].calendar_since
        if span is None or began is None or began <= span.start:
            return span
        return Window(began, span.end) if began < span.end else None

    def before_calendar(self, org: Org) -> Window | None:
        """Return the part of the range that is older than the org's present calendar; None if there is none."""
        span, began = self._selected(org), self.since[org.name].calendar_since
        return Window(span.start, min(began, span.end)) if span and began and span.start < began else None

    def _selected(self, org: Org) -> Window | None:
        calendar = Calendar(org.zone, org.granularity)
        return select(self.range_, calendar, now=self.now, settle=self.settle, since=org.since).span


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillWanted(_OfRange):
    """What a `backfill` fetches: windows of its range that are not complete; with `force`, all of them."""

    force: bool = False
    sparse: Sparse | None = None  # with requests for spans, as few as possible

    def needs(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window needs fetching, given its coverage in the ledger."""
        del org, window
        return to_backfill(known, force=self.force, now=self.now)

    def settles(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window that needs fetching may be inferred to be empty."""
        del org
        return self.sparse is not None and self.sparse.accepts(window, known, now=self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelabelWanted:
    """What a `relabel` restates: windows of its range that have records with other names or labels."""

    now: datetime
    settle: timedelta
    range_: Range
    since: dict[str, Since]
    namings: Mapping[str, int]  # the present ones, by org name; orgs that never answered have none

    def span(self, org: Org) -> Window | None:
        """Return the span of whole windows that the command considers; None if there is none."""
        calendar = Calendar(org.zone, org.granularity)
        return select(self.range_, calendar, now=self.now, settle=self.settle, since=None).span

    def needs(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window's records are restated, given what the ledger has of them."""
        del window
        return org.name in self.namings and to_relabel(known, self.namings[org.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileWanted(_OfRange):
    """What a `reconcile` compares: the complete windows of its range, whatever their age."""

    max_span: timedelta
    trust_zero_for: timedelta

    def needs(self, org: Org, window: Window, known: Known | None) -> bool:
        """Return whether a window is compared: only complete ones have all of their numbers."""
        del org, window
        return known is not None and known.state is SliceState.COMPLETE and not by_wrong_clock(known, now=self.now)

    def is_wanted(self, org: Org, window: Window) -> bool:
        """Return whether the ledger should have a window."""
        return _is_wanted(self.since[org.name], window)

    @property
    def is_about_range(self) -> bool:
        """Whether a person named the first day: then windows that were never wanted are missed, too."""
        return isinstance(self.range_, Between)

    def before_since(self, org: Org) -> Window | None:
        """Return the part of a person's range that is older than the org's `since`; None if there is none."""
        calendar = Calendar(org.zone, org.granularity)
        whole = select(self.range_, calendar, now=self.now, settle=self.settle).span
        if whole is None or org.since is None or not self.is_about_range:
            return None
        since = calendar.ceil(start_of_date(org.since, org.zone))
        return Window(whole.start, min(since, whole.end)) if whole.start < since else None

    def may_be_deleted(self, window: Window) -> bool:
        """Return whether a zero for a window may be data that the API has deleted."""
        return self.now - window.end > self.trust_zero_for


Wanted = CollectWanted | BackfillWanted | RelabelWanted | ReconcileWanted


def _is_wanted(since: Since, window: Window) -> bool:
    return window.start >= since.wanted_from or any(span.start <= window.start < span.end for span in since.ranges)


def needs_at(wanted: Wanted, now: datetime) -> Needs:
    """Return which windows need fetching later in the run: a completion after its start is by no wrong clock."""
    return replace(wanted, now=max(wanted.now, now)).needs


def searching_at(wanted: Wanted, now: datetime, ends: Mapping[Population, datetime | None]) -> Searching | None:
    """Return what searches may settle later in the run, if they may settle anything; `ends` is what they know."""
    if isinstance(wanted, ReconcileWanted):
        return Searching(settles=lambda *_: True, max_span=wanted.max_span, ends=ends)
    if not isinstance(wanted, BackfillWanted) or wanted.sparse is None:
        return None
    settles = replace(wanted, now=max(wanted.now, now)).settles
    return Searching(settles=settles, max_span=wanted.sparse.max_span, ends=ends)


def wanted_since(org: Org, known: datetime, *, first: datetime | None = None) -> datetime:
    """Return from when an org is wanted. The ledger has `known` as that instant.

    The org's `since` may be earlier. A first `collect` may also want earlier windows now (`first`), if the
    clock was ahead when the org was registered.
    """
    instants = [known] if first is None else [known, first]
    return min(instants if org.since is None else [*instants, start_of_date(org.since, org.zone)])


def on_boundaries(org: Org, since: Since) -> Since:
    """Return the same range of windows on the org's present calendar.

    The instants are boundaries of the calendar that held when they were written. Other rules of the zone have moved
    them by an hour or so: then the boundary that is near means the same date. Else a range is widened to the whole
    windows that it touches: windows of another granularity may be longer.
    """
    calendar = Calendar(org.zone, org.granularity)
    ranges = [
        (_near(span.start, calendar, calendar.floor), _near(span.end, calendar, calendar.ceil)) for span in since.ranges
    ]
    return replace(
        since,
        wanted_from=_near(since.wanted_from, calendar, calendar.floor),
        ranges=[Window(start, end) for start, end in ranges if start < end],
    )


def _near(instant: datetime, calendar: Calendar, widened: Callable[[datetime], datetime]) -> datetime:
    """Return the nearest boundary, if it is nearer than half a day; else the one that widens the range."""
    before = calendar.floor(instant)
    if before == instant:
        return instant
    nearest = min(before, calendar.after(instant), key=lambda boundary: abs(boundary - instant))
    return nearest if abs(nearest - instant) < _HALF_A_DAY else widened(instant)


def earliest(org: Org, since: Since) -> datetime:
    """Return the first boundary of an org's present calendar from which windows may be fetched."""
    calendar = Calendar(org.zone, org.granularity)
    starts = [since.wanted_from, *(span.start for span in since.ranges)]
    bounds = [calendar.ceil(min(starts))]
    if org.since is not None:
        bounds.append(calendar.ceil(start_of_date(org.since, org.zone)))
    if since.calendar_since is not None:
        bounds.append(calendar.ceil(since.calendar_since))
    return max(bounds)


def due_spans(org: Org, since: Since, *, settle: timedelta, now: datetime) -> list[Window]:
    """Return the spans of an org's whole windows that are wanted and due, oldest first."""
    calendar = Calendar(org.zone, org.granularity)
    due, first = calendar.floor(now - settle), earliest(org, since)
    spans = [(calendar.ceil(since.wanted_from), due), *((span.start, span.end) for span in since.ranges)]
    whole = [(max(calendar.ceil(start), first), min(calendar.floor(end), due)) for start, end in spans]
    return merge(Window(start, end) for start, end in whole if start < end)
