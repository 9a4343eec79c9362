"""Plans: what needs fetching, in batches, oldest first, and nothing twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.coverage import Known
from collector.core.grid import Grid
from collector.core.org_plan import OrgPlan
from collector.core.plan import Batch, Rest, needed, next_batch, open_span, spans_of
from collector.core.windows import Calendar, merge, start_of_date
from collector.model import Granularity, Org, Population, Slice, SliceState, Window, Zone
from tests.support.orgs import START, make_org, plan_days, slices_of

DAY = timedelta(days=1)
DECADE = 3653
BOTH = tuple(Population)
PEOPLE, SERVICES = BOTH
COMPLETE = Known(state=SliceState.COMPLETE, complete_at=START)
spans = st.tuples(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(hours=1), timedelta(days=100)),
)


def always(_org: Org, _window: Window, _known: Known | None) -> bool:
    return True


def unless_complete(_org: Org, _window: Window, known: Known | None) -> bool:
    return known is not COMPLETE


def days(n: int) -> Window:
    return Window(START, START + n * DAY)


def local_days(zone: str, first: date, last: date) -> Window:
    return Window(start_of_date(first, Zone.parse(zone)), start_of_date(last + timedelta(days=1), Zone.parse(zone)))


def grid_of(org: Org) -> Grid:
    return Grid(Calendar(org.zone, org.granularity))


def known_of(slices: list[Slice]) -> dict[tuple[Population, datetime], Known]:
    return {(slice_.population, slice_.window.start): COMPLETE for slice_ in slices}


def issued(plan: OrgPlan) -> list[Slice]:
    return [next(plan) for _ in range(plan.remaining)]


@settings(deadline=None)
@given(
    granularity=st.sampled_from(Granularity),
    zone=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "+05:30"]).map(Zone.parse),
    span=spans,
    populations=st.sampled_from([BOTH, BOTH[:1], BOTH[1:], BOTH[::-1], ()]),
)
def test_all_slices_of_a_span_are_needed_oldest_first_where_nothing_is_known(
    granularity: Granularity, zone: Zone, span: tuple[datetime, timedelta], populations: tuple[Population, ...]
) -> None:
    start, length = span
    whole = Calendar(zone, granularity).widen(Window(start, start + length))
    org = make_org(zone=zone, granularity=granularity, populations=populations)
    slices = list(needed(org, grid_of(org).windows(whole), {}, always))
    by_window = [(window, [s.population for s in group]) for window, group in groupby(slices, lambda s: s.window)]
    assert [window for window, _ in by_window] == sorted({s.window for s in slices}, key=lambda w: w.start)
    assert all(tuple(asked) == populations for _, asked in by_window)
    assert merge(window for window, _ in by_window) == ([whole] if populations else [])
    assert slices == slices_of(org, whole)


@pytest.mark.parametrize(
    ("zone", "granularity", "first", "last", "windows"),
    [
        ("America/New_York", Granularity.HOUR, date(2026, 3, 8), date(2026, 3, 8), 23),
        ("America/New_York", Granularity.HOUR, date(2026, 11, 1), date(2026, 11, 1), 25),
        ("America/New_York", Granularity.DAY, date(2026, 1, 1), date(2026, 12, 31), 365),
        ("America/New_York", Granularity.MONTH, date(2026, 1, 1), date(2026, 12, 31), 12),
        ("Europe/Berlin", Granularity.WEEK, date(2026, 3, 23), date(2026, 4, 5), 2),
        ("Europe/Berlin", Granularity.HOUR, date(2026, 1, 1), date(2026, 12, 31), 8760),
        ("Australia/Lord_Howe", Granularity.HOUR, date(2026, 4, 5), date(2026, 4, 5), 24),  # one of them 90 minutes
        ("Australia/Lord_Howe", Granularity.HOUR, date(2026, 10, 4), date(2026, 10, 4), 23),
        ("UTC", Granularity.DAY, date(2024, 1, 1), date(2024, 12, 31), 366),
        ("UTC", Granularity.DAY, date(2016, 1, 1), date(2025, 12, 31), DECADE),
    ],
)
def test_windows_are_right_over_shifts_of_the_clock(
    zone: str, granularity: Granularity, first: date, last: date, windows: int
) -> None:
    grid = Grid(Calendar(Zone.parse(zone), granularity))
    assert len(list(grid.windows(local_days(zone, first, last)))) == windows


@given(
    length=st.integers(0, 40),
    done=st.sets(st.tuples(st.integers(0, 39), st.sampled_from(BOTH))),
    size=st.integers(1, 20),
    populations=st.sampled_from([BOTH, BOTH[:1], BOTH[::-1]]),
)
def test_batches_one_after_the_other_hold_each_needed_slice_once_and_in_order(
    length: int, done: set[tuple[int, Population]], size: int, populations: tuple[Population, ...]
) -> None:
    org = make_org(populations=populations)
    known = {(population, START + n * DAY): COMPLETE for n, population in done}
    expected = [
        s for s in (slices_of(org, days(length)) if length else []) if (s.population, s.window.start) not in known
    ]
    plan, got = OrgPlan(org), list[Slice]()
    while plan.more:
        span = open_span(org, days(length), after=plan.after) if length else None
        windows = grid_of(org).windows(span) if span else ()
        batch = next_batch(org, windows, known, unless_complete, size=size, after=plan.after)
        assert len(batch.slices) <= size
        assert plan.planned_with(batch) == Counter(s.population for s in expected)
        assert batch.behind.spans == {
            p: found for p, found in spans_of(expected[len(got) + len(batch.slices) :]).items() if found
        }
        plan.begin(batch)
        got += issued(plan)
    assert got == expected
    assert plan.exhausted


def test_what_another_process_completed_meanwhile_is_not_fetched_again() -> None:
    org = make_org()
    slices = slices_of(org, days(4))
    plan = OrgPlan(org)
    plan.begin(next_batch(org, grid_of(org).windows(days(4)), {}, unless_complete, size=3))
    issued(plan)
    known = known_of([slices[0], slices[4]])
    batch = next_batch(org, grid_of(org).windows(days(4)), known, unless_complete, size=9, after=plan.after)
    assert batch.slices == [slices[3], *slices[5:]]
    assert plan.planned_with(batch) == {PEOPLE: 3, SERVICES: 4}


def test_what_was_issued_before_is_not_looked_at_again() -> None:
    org = make_org()
    assert open_span(org, days(9), after={}) == days(9)
    assert open_span(org, days(9), after={PEOPLE: START + 7 * DAY, SERVICES: START + 6 * DAY}) == Window(
        START + 6 * DAY, START + 9 * DAY
    )


def test_a_plan_without_a_batch_waits_for_one() -> None:
    plan = OrgPlan(make_org())
    assert (plan.remaining, plan.exhausted) == (0, False)
    plan.begin(Batch(org=plan.org))
    assert plan.exhausted


def test_what_remains_falls_by_one_with_each_slice() -> None:
    batch = plan_days(make_org(), 3)
    plan = OrgPlan(batch.org)
    plan.begin(batch)
    for left in (5, 4, 3, 2, 1, 0):
        next(plan)
        assert (plan.remaining, plan.left.total()) == (left, left)
    assert plan.exhausted


def test_what_was_not_issued_is_known_by_where_it_lies() -> None:
    org = make_org()
    slices = slices_of(org, days(3))
    plan = OrgPlan(org)
    plan.begin(Batch(org=org, slices=slices[:4], behind=Rest().before(slices[4:])))
    for done in range(5):
        left = {population: spans for population, spans in plan.unissued.spans.items() if spans}
        assert (plan.left.total(), left) == (6 - done, spans_of(slices[done:]))
        if done < 4:
            next(plan)


@pytest.mark.parametrize("end", ["cut", "end"])
def test_what_is_taken_back_of_a_batch_was_not_issued_either(end: str) -> None:
    org = make_org()
    slices = slices_of(org, days(4))
    plan = OrgPlan(org)
    plan.begin(Batch(org=org, slices=slices[:6], behind=Rest().before(slices[6:])))
    next(plan)
    getattr(plan, end)()
    assert (plan.remaining, plan.left.total()) == (0, 7)
    assert plan.unissued.spans == spans_of(slices[1:])
    assert plan.more is (end == "cut")


def test_a_plan_that_has_ended_only_notes_what_is_left() -> None:
    batch = plan_days(make_org(), 2)
    plan = OrgPlan(batch.org)
    plan.end()
    plan.begin(batch)
    assert (plan.remaining, plan.exhausted, plan.left.total()) == (0, True, 4)


def test_no_more_spans_are_kept_than_show_where_it_is() -> None:
    org = make_org()
    every_other = slices_of(org, days(60))[::4]
    assert len(spans_of(every_other)[PEOPLE]) == 9
    behind = next_batch(org, [s.window for s in every_other], {}, lambda _o, w, _k: w.start.day % 2 == 1, size=1).behind
    assert len(behind.spans[PEOPLE]) == 9
