"""What is there and what is missing, by window and by day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from collector.core.coverage import Ages
from collector.core.coverage_status import MISSING, State, population_status, stranded
from collector.core.grid import Grid
from collector.core.windows import Calendar, merge
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


def naive(grid: Grid, wanted: list[Window], known: list[tuple[SliceState, Window]]) -> list[tuple[Window, State]]:
    """Window by window: what the spans must come to."""
    return [
        (window, next((state for state, seen in known if seen.start <= window.start < seen.end), MISSING))
        for one in merge(wanted)
        for window in grid.calendar.split(one)
    ]


@given(
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
    st.sampled_from(Granularity),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.sampled_from(STATES)), max_size=9),
)
def test_spans_come_to_the_same_as_looking_at_every_window(
    zone: str, granularity: Granularity, ranges: list[tuple[int, int]], seen: list[tuple[int, int, SliceState]]
) -> None:
    grid = Grid(Calendar(Zone.parse(zone), granularity))
    edges = [grid.calendar.floor(datetime(2026, 10, 20, tzinfo=UTC))]
    while len(edges) < 120:
        edges.append(grid.calendar.after(edges[-1]))
    wanted = [Window(edges[first], edges[first + length]) for first, length in ranges]
    known, at = [], 0
    for pause, length, state in seen:
        known.append((state, Window(edges[at + pause], edges[at + pause + length])))
        at += pause + length
    status = population_status(Population.ACCOUNT_USER, grid, wanted, known)
    windows = naive(grid, wanted, known)
    assert status.counts == Counter(state for _, state in windows)
    assert status.gaps == merge(window for window, state in windows if state is not SliceState.COMPLETE)
    assert [(state, span) for state, whole in status.lacks for span in grid.calendar.split(whole)] == [
        (state, window) for window, state in windows if state is not SliceState.COMPLETE
    ]
    first_days = {window.start.astimezone(grid.calendar.zone.tz).date() for window, _ in windows}
    assert first_days <= status.days.keys()


def test_only_the_days_that_are_asked_for_are_painted() -> None:
    status = population_status(Population.ACCOUNT_USER, GRID, [span(0, 9)], [], days_from=date(2026, 6, 8))
    assert list(status.days) == [date(2026, 6, 8), date(2026, 6, 9)]
    assert status.counts == {MISSING: 9}


def test_what_no_collect_asks_any_more_is_stranded_by_its_own_age() -> None:
    ages = Ages(settle=DAY, recheck=(), repair_for=4 * DAY, catch_up=8 * DAY)
    now = START + 20 * DAY
    young = [(MISSING, span(12, 13)), (SliceState.PARTIAL, span(16, 17)), (SliceState.REFUSED, span(14, 15))]
    assert stranded(young, GRID, ages, now=now) is None
    assert stranded([(MISSING, span(9, 14))], GRID, ages, now=now) == span(9, 12)
    assert stranded([(SliceState.FAILED, span(3, 4)), (SliceState.PARTIAL, span(13, 19))], GRID, ages, now=now) == span(
        3, 16
    )
