"""Plans: as many slices as they say, oldest first, and none before it is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.plan import BatchPlan, LanePlan, ListedPlan, spans_of
from collector.core.windows import Calendar, merge, start_of_date
from collector.model import Granularity, Population, Slice, Window, Zone
from tests.support.orgs import make_org, plan_days

DECADE = 3653
BOTH = tuple(Population)
spans = st.tuples(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(hours=1), timedelta(days=100)),
)


class CountingZone(tzinfo):
    """A zone that counts how often it was asked."""

    def __init__(self, name: str) -> None:
        self._zone = ZoneInfo(name)
        self.asked = 0

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        self.asked += 1
        return self._zone.utcoffset(dt)

    def dst(self, dt: datetime | None) -> timedelta | None:
        return self._zone.dst(dt)

    def tzname(self, dt: datetime | None) -> str | None:
        return self._zone.tzname(dt)

    def fromutc(self, dt: datetime) -> datetime:
        self.asked += 1
        return self._zone.fromutc(dt.replace(tzinfo=self._zone)).replace(tzinfo=self)


def issued(plan: LanePlan) -> list[Slice]:
    return [next(plan) for _ in range(plan.total)]


def local_days(zone: str, first: date, last: date) -> Window:
    return Window(start_of_date(first, Zone.parse(zone)), start_of_date(last + timedelta(days=1), Zone.parse(zone)))


@settings(deadline=None)
@given(
    granularity=st.sampled_from(Granularity),
    zone=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "+05:30"]).map(Zone.parse),
    span=spans,
    populations=st.sampled_from([BOTH, BOTH[:1], BOTH[1:], BOTH[::-1], ()]),
)
def test_a_plan_issues_exactly_as_many_slices_as_it_says_oldest_first(
    granularity: Granularity, zone: Zone, span: tuple[datetime, timedelta], populations: tuple[Population, ...]
) -> None:
    start, length = span
    whole = Calendar(zone, granularity).widen(Window(start, start + length))
    org = make_org(zone=zone, granularity=granularity, populations=populations)
    plan = LanePlan(org, whole)
    assert plan.total == plan.remaining == plan.windows * len(populations)
    slices = issued(plan)
    assert plan.remaining == 0
    with pytest.raises(StopIteration):
        next(plan)
    assert plan.remaining == 0
    by_window = [(window, [s.population for s in group]) for window, group in groupby(slices, lambda s: s.window)]
    assert [window for window, _ in by_window] == sorted({s.window for s in slices}, key=lambda w: w.start)
    assert all(tuple(asked) == populations for _, asked in by_window)
    assert merge(window for window, _ in by_window) == ([whole] if populations else [])
    assert {s.org.name for s in slices} <= {org.name}


def test_the_populations_of_a_window_follow_one_another() -> None:
    slices = issued(plan_days(make_org(), 2))
    assert [(s.window.start.day, s.population.value) for s in slices] == [
        (1, "account-user"),
        (1, "service-user"),
        (2, "account-user"),
        (2, "service-user"),
    ]


def test_what_remains_falls_by_one_with_each_slice() -> None:
    plan = plan_days(make_org(), 3)
    for left in (5, 4, 3, 2, 1, 0):
        next(plan)
        assert plan.remaining == left
    assert plan.total == 6


def test_a_plan_without_a_span_is_empty() -> None:
    plan = LanePlan(make_org(), None)
    assert (plan.total, plan.windows, plan.remaining) == (0, 0, 0)
    with pytest.raises(StopIteration):
        next(plan)


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
        ("UTC", Granularity.HOUR, date(2016, 1, 1), date(2025, 12, 31), DECADE * 24),
    ],
)
def test_windows_are_counted_right_over_shifts_of_the_clock(
    zone: str, granularity: Granularity, first: date, last: date, windows: int
) -> None:
    plan = LanePlan(make_org(zone=Zone.parse(zone), granularity=granularity), local_days(zone, first, last))
    assert plan.windows == windows
    assert plan.total == windows * 2


def test_issuing_a_slice_costs_the_same_in_a_plan_of_a_decade() -> None:
    def cost(days: int) -> tuple[int, int]:
        zone = CountingZone("America/New_York")
        counted = Zone(f"counted {days}", zone)
        span = Window(
            start_of_date(date(2016, 1, 1), counted), start_of_date(date(2016, 1, 1) + timedelta(days), counted)
        )
        plan = LanePlan(make_org(zone=counted), span)
        planned = zone.asked
        next(plan)
        return planned, zone.asked - planned

    short, long = cost(10), cost(DECADE)
    assert long[0] > 100 * short[0]  # counting is done once, when it is planned
    assert long[1] == short[1] < 50


def test_orgs_with_the_same_calendar_and_span_are_counted_once() -> None:
    zone = CountingZone("America/New_York")
    counted = Zone("counted once", zone)
    span = Window(start_of_date(date(2016, 1, 1), counted), start_of_date(date(2026, 1, 1), counted))
    LanePlan(make_org("first", zone=counted), span)
    planned = zone.asked
    assert [LanePlan(make_org(f"org-{n}", zone=counted), span).windows for n in range(50)] == [DECADE] * 50
    assert zone.asked == planned


def test_a_span_off_the_boundaries_is_no_plan() -> None:
    span = Window(datetime(2026, 6, 1, 12, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC))
    with pytest.raises(ValueError, match="does not begin and end on day boundaries of UTC"):
        LanePlan(make_org(), span)


def test_two_plans_of_one_org_do_not_share_where_they_are() -> None:
    org = make_org()
    first, second = plan_days(org, 2), plan_days(org, 2)
    next(first)
    assert (first.remaining, second.remaining) == (3, 4)


def test_a_listed_plan_issues_its_slices_in_the_order_given() -> None:
    org = make_org()
    slices = issued(plan_days(org, 2))[::-1]
    plan = ListedPlan(org, list(slices))
    assert plan.remaining == 4
    assert [next(plan) for _ in range(4)] == slices
    assert plan.remaining == 0


def test_what_was_not_issued_is_known_by_where_it_lies() -> None:
    org = make_org()
    slices = issued(plan_days(org, 3))
    plans: dict[str, LanePlan | ListedPlan | BatchPlan] = {
        "range": plan_days(org, 3),
        "list": ListedPlan(org, list(slices)),
        "batches": BatchPlan(org, batch=deque(slices[:4]), behind=2, beyond=spans_of(slices[4:])),
    }
    for name, plan in plans.items():
        for done in range(5):
            left = {population: spans for population, spans in plan.unissued.items() if spans}
            assert (plan.left, left) == (6 - done, spans_of(slices[done:])), (name, done)
            if done < 4:
                next(plan)


@pytest.mark.parametrize("end", [BatchPlan.cut, BatchPlan.end])
def test_what_is_taken_back_of_a_batch_was_not_issued_either(end: Callable[[BatchPlan], None]) -> None:
    org = make_org()
    slices = issued(plan_days(org, 4))
    plan = BatchPlan(org)
    plan.refill(slices[:6], behind=2, beyond=spans_of(slices[6:]))
    next(plan)
    end(plan)
    assert (plan.remaining, plan.left) == (0, 7)
    assert plan.unissued == spans_of(slices[1:])


def test_no_more_spans_are_kept_than_show_where_it_is() -> None:
    org = make_org()
    every_other = issued(plan_days(org, 60))[::4]
    assert len(spans_of(every_other)[BOTH[0]]) == 9
