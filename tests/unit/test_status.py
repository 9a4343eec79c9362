"""What is complete and what is not, by window and by day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from collector.core.coverage import Ages
from collector.core.coverage_spans import Overlay, stranded
from collector.core.grid import Grid
from collector.core.org_coverage import COUNTED, FETCHED, CoverageState, Gap
from collector.core.windows import Calendar, merge
from collector.model import Granularity, Window, Zone

DAY = timedelta(days=1)
START = datetime(2026, 6, 1, tzinfo=UTC)
GRID = Grid(Calendar(Zone.parse("UTC"), Granularity.DAY))
STATES = list(COUNTED[:-1])
MISSING, NOT_DUE = CoverageState.MISSING, CoverageState.NOT_DUE


def laid(
    grid: Grid, wanted: list[Window], known: list[tuple[CoverageState, Window]], *, first_day: date = date(2026, 6, 1)
) -> Overlay:
    return Overlay(first_day=first_day, days=[NOT_DUE] * 5000).lay(grid, wanted, known)


def span(first: int, end: int) -> Window:
    return Window(START + first * DAY, START + end * DAY)


def test_what_is_wanted_and_not_known_is_missing_and_what_is_known_and_not_wanted_is_left_out() -> None:
    known = [(CoverageState.COMPLETE, span(0, 4)), (CoverageState.PARTIAL, span(6, 8))]
    found = laid(GRID, [span(2, 10)], known)
    assert found.counts == {CoverageState.COMPLETE: 2, MISSING: 4, CoverageState.PARTIAL: 2}
    assert found.gaps == [
        Gap(MISSING, span(4, 6)),
        Gap(CoverageState.PARTIAL, span(6, 8)),
        Gap(MISSING, span(8, 10)),
    ]
    complete, partial = CoverageState.COMPLETE, CoverageState.PARTIAL
    assert found.days[:11] == [
        *[NOT_DUE] * 2, *[complete] * 2, *[MISSING] * 2, *[partial] * 2, *[MISSING] * 2, NOT_DUE
    ]  # fmt: skip


def test_a_day_of_hours_shows_the_worst_of_them() -> None:
    hours = Grid(Calendar(Zone.parse("UTC"), Granularity.HOUR))
    whole = span(0, 1)
    known = [(CoverageState.COMPLETE, Window(whole.start, whole.end - timedelta(hours=1)))]
    found = laid(hours, [whole], known)
    assert found.counts == {CoverageState.COMPLETE: 23, MISSING: 1}
    assert found.days[:2] == [MISSING, NOT_DUE]


@given(st.lists(st.sampled_from([*STATES, None]), min_size=1, max_size=60))
def test_every_wanted_window_is_counted_once_in_its_own_state(days: list[CoverageState | None]) -> None:
    known = [(state, span(n, n + 1)) for n, state in enumerate(days) if state]
    found = laid(GRID, [span(0, len(days))], known)
    assert found.counts.total() == len(days)
    assert all(found.counts[state] == days.count(state) for state in STATES)
    assert found.counts[MISSING] == days.count(None)
    incomplete = sum((gap.window.end - gap.window.start) // DAY for gap in found.gaps)
    assert incomplete == sum(state not in FETCHED for state in days)


def naive(
    grid: Grid, wanted: list[Window], known: list[tuple[CoverageState, Window]]
) -> list[tuple[Window, CoverageState]]:
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
    zone: str, granularity: Granularity, ranges: list[tuple[int, int]], seen: list[tuple[int, int, CoverageState]]
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
    first_day, tz = date(2026, 10, 1), grid.calendar.zone.tz
    found = laid(grid, wanted, known, first_day=first_day)
    windows = naive(grid, wanted, known)
    assert found.counts == Counter(state for _, state in windows)
    assert [(gap.state, window) for gap in found.gaps for window in grid.calendar.split(gap.window)] == [
        (state, window) for window, state in windows if state not in FETCHED
    ]
    worst: dict[int, CoverageState] = {}
    for window, state in windows:
        last = (window.end - timedelta(microseconds=1)).astimezone(tz).date()
        for day in range((window.start.astimezone(tz).date() - first_day).days, (last - first_day).days + 1):
            worst[day] = max(state, worst.get(day, state), key=COUNTED.index)
    assert {n: state for n, state in enumerate(found.days) if state is not NOT_DUE} == worst


def test_days_before_those_that_are_shown_count_all_the_same() -> None:
    found = laid(GRID, [span(0, 9)], [], first_day=date(2026, 6, 8))
    assert found.days[:3] == [MISSING, MISSING, NOT_DUE]
    assert found.counts == {MISSING: 9}


def test_what_no_collect_fetches_any_more_is_stranded_by_its_own_age() -> None:
    ages = Ages(settle=DAY, recheck=(), repair_for=4 * DAY, catch_up=8 * DAY)
    now = START + 20 * DAY
    young = [
        Gap(MISSING, span(12, 13)), Gap(CoverageState.PARTIAL, span(16, 17)), Gap(CoverageState.REFUSED, span(14, 15))
    ]  # fmt: skip
    assert stranded(young, GRID, ages, now=now) == []
    assert stranded([Gap(MISSING, span(9, 14))], GRID, ages, now=now) == [span(9, 12)]
    repairs = [Gap(CoverageState.PARTIAL, span(13, 19)), Gap(CoverageState.FAILED, span(3, 4))]
    assert stranded(repairs, GRID, ages, now=now) == [span(3, 4), span(13, 16)]


def test_what_is_in_doubt_is_never_stranded_since_no_backfill_fetches_it() -> None:
    ages = Ages(settle=DAY, recheck=(), repair_for=4 * DAY, catch_up=8 * DAY)
    assert stranded([Gap(CoverageState.IN_DOUBT, span(0, 9))], GRID, ages, now=START + 20 * DAY) == []
