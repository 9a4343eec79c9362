"""Which windows of an org need fetching, given its coverage: a state for each window, not a cursor.

A gap is wanted, due and not complete. `collect` fetches newly due windows, gaps not older than
`catch_up`, repairs up to `repair_for`, and rechecks: a complete window again at each age of
`recheck`. `backfill` fetches the windows of its range that are not complete. The clock only
bounds what is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.model import Population, SliceState, Window

CLOCK_TOLERANCE = timedelta(minutes=10)  # two clocks that differ by less count as right


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The ledger's entry for one slice."""

    state: SliceState
    complete_at: datetime | None  # when its last complete answer came
    emitted: bool = field(default=False, compare=False)  # whether it has records
    naming: int | None = field(default=None, compare=False)  # of all of them (`core.naming`); None: unknown, or several


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old a window may be for each kind of fetch, counted from its end."""

    settle: timedelta
    recheck: tuple[timedelta, ...]
    repair_for: timedelta
    catch_up: timedelta

    @property
    def horizon(self) -> timedelta:
        """How far back a `collect` goes at most."""
        return max(self.catch_up, self.repair_for, *self.recheck, timedelta(0))


Coverage = Mapping[tuple[Population, datetime], Known]  # by population and start


def to_collect(window: Window, known: Known | None, ages: Ages, *, now: datetime) -> bool:
    """Return whether a `collect` fetches a window that is wanted and due."""
    age = now - window.end
    if known is None:
        return age <= ages.catch_up
    match known.state:
        case SliceState.COMPLETE:
            return (
                known.complete_at is None
                or by_wrong_clock(known, now=now)
                or _recheck_due(window, known.complete_at, ages, now=now)
            )
        case SliceState.PARTIAL | SliceState.FAILED:
            return age <= ages.repair_for
        case _:
            return age <= ages.catch_up


def by_wrong_clock(known: Known, *, now: datetime) -> bool:
    """Return whether the clock was ahead at the complete answer: then its window may not have ended by then."""
    return known.complete_at is not None and known.complete_at > now + CLOCK_TOLERANCE


def _recheck_due(window: Window, complete_at: datetime, ages: Ages, *, now: datetime) -> bool:
    return any(complete_at < window.end + age <= now for age in ages.recheck)


def to_relabel(known: Known | None, naming: int) -> bool:
    """Return whether a `relabel` restates a window's records: they have, or may have, other names and labels."""
    return known is not None and known.emitted and known.naming != naming


def to_backfill(known: Known | None, *, force: bool, now: datetime) -> bool:
    """Return whether a `backfill` fetches a window of its range: one that isn't complete; with force, any."""
    return force or known is None or known.state is not SliceState.COMPLETE or by_wrong_clock(known, now=now)
