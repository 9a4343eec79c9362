"""What is there and what is missing, by window and by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from collector.core.grid import Grid
from collector.core.status import MISSING, population_status
from collector.core.windows import Calendar
from collector.model import Granularity, Population, SliceState, Window, Zone

DAY = timedelta(days=1)
START = datetime(2026, 6, 1, tzinfo=UTC)
GRID = Grid(Calendar(Zone.parse("UTC"), Granularity.DAY))
STATES = [SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED]


def span(first: int, end: int) -> Window:
    return Window(START + first * DAY, START + end * DAY)


def test_what_is_wanted_and_not_known_is_missing_and_what_is_known_and_not_wanted_is_left_out() -> None:
    known = [(SliceState.COMPLETE, span(0, 4)), (SliceState.PARTIAL, span(6, 8))]
    status = population_status(Population.ACCOUNT_USER, GRID, [span(2, 10)], known)
    assert status.counts == {SliceState.COMPLETE: 2, MISSING: 4, SliceState.PARTIAL: 2}
    assert status.windows == 8
    assert status.lacking == 6
    assert status.gaps == [span(4, 10)]
    assert status.days[date(2026, 6, 3)] is SliceState.COMPLETE


def test_a_day_of_hours_shows_the_worst_of_them() -> None:
    hours = Grid(Calendar(Zone.parse("UTC"), Granularity.HOUR))
    whole = span(0, 1)
    known = [(SliceState.COMPLETE, Window(whole.start, whole.end - timedelta(hours=1)))]
    status = population_status(Population.ACCOUNT_USER, hours, [whole], known)
    assert status.counts == {SliceState.COMPLETE: 23, MISSING: 1}
    assert status.days == {date(2026, 6, 1): MISSING}


@given(st.lists(st.sampled_from([*STATES, None]), min_size=1, max_size=60))
def test_every_wanted_window_is_counted_once_in_its_own_state(days: list[SliceState | None]) -> None:
    known = [(state, span(n, n + 1)) for n, state in enumerate(days) if state]
    status = population_status(Population.ACCOUNT_USER, GRID, [span(0, len(days))], known)
    assert status.windows == len(days)
    assert all(status.counts[state] == days.count(state) for state in STATES)
    assert status.counts[MISSING] == days.count(None)
    assert sum((gap.end - gap.start) // DAY for gap in status.gaps) == status.lacking
