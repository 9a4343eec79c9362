"""Notes for the user about a range that was widened or cut, or that selects nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.config import LoadedConfig
from collector.config.messages import duration_text
from collector.core.ranges import Last, Range, Selection, select
from collector.core.search_cost import Requests
from collector.core.wanted import Sparse
from collector.core.windows import Calendar
from collector.errors import ConfigError
from collector.model import Granularity, Org, Window

_LONG_ENOUGH = {Granularity.HOUR: "1h", Granularity.DAY: "1d", Granularity.WEEK: "7d", Granularity.MONTH: "31d"}


@dataclass(frozen=True, slots=True)
class RangeNote:
    """A text for the user. It is a warning if nothing is fetched although a range was given."""

    text: str
    warns: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class _Orgs:
    """The orgs that a note is about, and whether it says that they have nothing to fetch."""

    empty: bool
    names: list[str] = field(default_factory=list)


def range_notes(
    config: LoadedConfig,
    orgs: Sequence[Org],
    range_: Range,
    *,
    now: datetime,
    doing: str = "fetched",
    sparse: Sparse | None = None,
) -> list[RangeNote]:
    """Return a note for each way in which the range was changed, and for windows that a search can't settle.

    `doing` is what the command does with windows. Raises ConfigError for an impossible range.
    """
    settle = config.settings.schedule.settle
    orgs_by_text: dict[str, _Orgs] = {}
    for org in orgs:
        calendar = Calendar(org.zone, org.granularity)
        try:
            selection = select(range_, calendar, now=now, settle=settle, since=org.since)
            without_since = select(range_, calendar, now=now, settle=settle)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if selection.span is None:
            why = _why_empty(range_, without_since, selection, calendar, now=now, settle=settle)
            texts = [f"nothing will be {doing}: {why}"]
        else:
            texts = list(_changes(selection, calendar, settle))
            texts += _one_by_one(selection.span, calendar, sparse, now) if sparse is not None else ()
        for text in texts:
            orgs_by_text.setdefault(text, _Orgs(selection.span is None)).names.append(org.name)
    return [
        RangeNote(f"{_names(about.names)}: {text}" if len(orgs) > 1 else text, warns=about.empty)
        for text, about in sorted(orgs_by_text.items(), key=lambda item: not item[1].empty)
    ]


def export_notes(orgs: Sequence[Org], range_: Range, *, now: datetime) -> list[RangeNote]:
    """Return a note for each way in which a range was changed, for what fetches nothing: what ended is in it."""
    orgs_by_text: dict[str, _Orgs] = {}
    for org in orgs:
        calendar = Calendar(org.zone, org.granularity)
        selection = select(range_, calendar, now=now, settle=timedelta(0))
        if selection.span is None:
            why = _why_empty(range_, selection, selection, calendar, now=now, settle=None)
            texts = [f"nothing will be exported: {why}"]
        else:
            texts = list(_changes(selection, calendar, None))
        for text in texts:
            orgs_by_text.setdefault(text, _Orgs(selection.span is None)).names.append(org.name)
    return [RangeNote(f"{_names(about.names)}: {text}", warns=about.empty) for text, about in orgs_by_text.items()]


def shared(requests: Requests) -> list[RangeNote]:
    """Return why the largest numbers of requests of the orgs are more than that of all, if they are."""
    together = sum(one.most for one in requests.orgs)
    if together <= requests.all.most:
        return []
    text = (
        f"the largest numbers of the orgs add up to {together}, and all take {requests.all.most} at most: requests for "
        "spans may cost 5 % of all windows, whichever orgs need them. So any org may take that many, but not each"
    )
    return [RangeNote(text)]


def _changes(selection: Selection, calendar: Calendar, settle: timedelta | None) -> Iterator[str]:
    """Yield how the selected windows differ from the range. Times are on the org's calendar, without its offset.

    `settle` is None for what reads windows as soon as they have ended.
    """
    unit = calendar.granularity.value
    if given := selection.widened_from:
        start, end = (_local(at, calendar) for at in (given.start, given.end))
        yield f"the range {start} to {end} is widened to whole {unit}s"
    if selection.cut_since:
        yield f"the range begins at {_local(selection.cut_since, calendar)}: nothing older is wanted (`since`)"
    if selection.cut_due:
        end = _last(selection.cut_due, calendar)
        yield f"the range ends {end}: later {unit}s {_not_yet(unit, settle)}"


def _why_empty(
    range_: Range,
    without_since: Selection,
    selection: Selection,
    calendar: Calendar,
    *,
    now: datetime,
    settle: timedelta | None,
) -> str:
    """Return why a range selects nothing, and what to do."""
    unit = calendar.granularity.value
    if without_since.span and selection.cut_since:
        wanted = _local(selection.cut_since, calendar)
        return f"nothing before {wanted} is wanted (`since`)"
    match range_:
        case Last(duration) if calendar.floor(now - duration) == (ended := calendar.floor(now)):
            return (
                f"no {unit} ended within the last {duration_text(duration)}; the newest ended "
                f"at {_local(ended, calendar)}. Write --last {_LONG_ENOUGH[calendar.granularity]} or longer"
            )
        case Last(duration):
            which = f"the {unit}s that ended within the last {duration_text(duration)} are not due yet"
        case _ if range_.start.as_start(calendar.zone) > now:
            which = "the range is in the future"
        case _:
            which = (
                f"no {unit} of the range is due yet" if settle is not None else f"no {unit} of the range has ended yet"
            )
    return which if settle is None else f"{which}; {_due(unit, settle)}"


def _not_yet(unit: str, settle: timedelta | None) -> str:
    return "have not ended yet" if settle is None else f"are not due yet; {_due(unit, settle)}"


def _one_by_one(span: Window, calendar: Calendar, sparse: Sparse, now: datetime) -> Iterator[str]:
    """Yield which windows of a sparse backfill are requested one by one, whatever is in them."""
    unit = calendar.granularity.value
    trusted, late = calendar.floor(now - sparse.trust_zero_for), calendar.floor(now - sparse.rechecked_for)
    if trusted > span.start:
        which = "the whole range is" if trusted >= span.end else f"{unit}s before {_local(trusted, calendar)} are"
        yield (
            f"{which} older than `trust_zero_for` ({duration_text(sparse.trust_zero_for)}): --sparse saves nothing "
            f"there. A zero may be deleted data, so these {unit}s are requested one by one. If the API keeps data for "
            "longer: COLLECTOR_TRUST_ZERO_FOR=400d, for this command"
        )
    if late < span.end and sparse.rechecked_for:
        yield (
            f"{unit}s from {_local(max(late, span.start), calendar)} on are requested one by one: their data may come "
            "late (`schedule.recheck`)"
        )


def _due(unit: str, settle: timedelta) -> str:
    when = f"{duration_text(settle)} after its end" if settle else "at its end"
    return f"{'an' if unit == 'hour' else 'a'} {unit} is due {when} (`schedule.settle`)"


def _last(end: datetime, calendar: Calendar) -> str:
    """Return the end of a range as text: its last date, or the hour at which it ends."""
    if calendar.granularity is Granularity.HOUR:
        return f"at {_local(end, calendar)}"
    return f"with {(end - timedelta(seconds=1)).astimezone(calendar.zone.tz):%Y-%m-%d}"


def _local(instant: datetime, calendar: Calendar) -> str:
    return f"{instant.astimezone(calendar.zone.tz):%Y-%m-%d %H:%M}"


def _names(orgs: list[str]) -> str:
    return ", ".join(orgs) if len(orgs) <= 3 else f"{len(orgs)} orgs ({', '.join(orgs[:2])}, …)"
