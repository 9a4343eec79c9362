"""What `collector status` says below its table: which time it is about, refused calendars, and what begins later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from collector.adapters.text import count, duration, printable, some
from collector.core.org_coverage import CoverageState, OrgCoverage, gaps_of
from collector.errors import RefusalReason
from collector.model import Window, Zone
from collector.service.web.text import local_dates, window_text

_HOLED = 10  # orgs
_NAMED = 5
_LONGEST = 1000  # of a message
_NEVER = datetime.min.replace(tzinfo=UTC)


def notes(orgs: Sequence[OrgCoverage], *, counted: Sequence[OrgCoverage]) -> Iterator[str]:
    """Yield the lines about the orgs that are shown. Windows are counted of all that were chosen."""
    if (gaps := gaps_of(counted)).incomplete:
        yield str(gaps)
    yield from _wanted(orgs)
    yield from _unverified(counted)
    for org in orgs:
        if org.credential.reason is RefusalReason.CALENDAR:
            yield printable(f"{org.name}: {org.credential.message}", _LONGEST)
        if org.begins_later:
            yield _begins_later(org, org.begins_later)


def _wanted(orgs: Sequence[OrgCoverage]) -> Iterator[str]:
    """Yield which time all of this is about, the worst lag, the oldest last success, and what was never wanted."""
    due = [org for org in orgs if org.wanted]
    if not due:
        return
    spans = [local_dates(Window(org.wanted[0].start, org.wanted[-1].end), org.timezone) for org in due]
    late, stale = max(due, key=lambda org: org.lag_s), min(due, key=lambda org: org.last_success or _NEVER)
    lag = f"largest lag {duration(late.lag_s)} ({printable(late.name)})" if late.lag_s else "no lag"
    success = f"{stale.last_success:%Y-%m-%d %H:%M} UTC" if stale.last_success else "never"
    yield (
        f"wanted and due: {min(first for first, _ in spans)} to {max(last for _, last in spans)}; {lag}; "
        f"oldest last success: {success} ({printable(stale.name)})"
    )
    holed = [org for org in due if org.never_wanted]
    for org in holed[:_HOLED]:
        holes = ", ".join(window_text(hole, org.timezone, org.granularity) for hole in org.never_wanted)
        yield f"{printable(org.name)}: never wanted, so neither fetched nor counted: {holes}"
    if len(holed) > _HOLED:
        yield f"and {count(len(holed) - _HOLED, 'more org')} with time that was never wanted: see --json"


def _unverified(orgs: Sequence[OrgCoverage]) -> Iterator[str]:
    """Yield how many zeros may be deleted data, and of which orgs."""
    windows = {printable(org.name): found for org in orgs if (found := org.count(CoverageState.UNVERIFIED))}
    if windows:
        yield (
            f"{count(sum(windows.values()), 'window')} of {some(list(windows), _NAMED)} unverified: the API answered "
            "zero, so long after them that it may have deleted the data (trust_zero_for). Don't rely on these zeros"
        )


def _begins_later(org: OrgCoverage, begins: datetime) -> str:
    """Return why nothing is due of an org, and how far it was collected before: by another calendar, or `since`."""
    known = [(p.population.value, p.newest_complete) for p in org.populations if p.newest_complete]
    before = ", ".join(
        f"{name} through {end.astimezone(Zone.parse(org.timezone).tz):%Y-%m-%d %H:%M}" for name, end in known
    )
    return (
        f"{printable(org.name)}: no window is due: its windows by {org.granularity} in {org.timezone} begin at "
        f"{begins.astimezone(Zone.parse(org.timezone).tz):%Y-%m-%d %H:%M}"
        + (f". Complete before that, and not counted here: {before}" if before else "")
    )
