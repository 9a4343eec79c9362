"""What a check asks of an org, and what it concludes from the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.checks import (
    DAYS_TRIED,
    PARTS,
    Additivity,
    additivity,
    last_due_days,
    parts_of,
    same_totals,
    totals,
    whole_and_parts,
)
from collector.core.finding import Finding
from collector.core.request import RangeEnd, build_request
from collector.core.windows import Calendar, merge
from collector.model import Granularity, Population, ProductUsage, Window, Zone
from tests.support.orgs import make_org

SETTLE = timedelta(hours=6)
NOW = datetime(2026, 6, 24, 10, 20, tzinfo=UTC)
ZONES = ["UTC", "+05:30", "America/New_York", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut"]

zones = st.sampled_from(ZONES).map(Zone.parse)
instants = st.datetimes(datetime(2025, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001
counts = st.integers(0, 10**12)


def found(users: int | None = 3, **products: ProductUsage | None) -> Finding:
    return Finding(org_id="12345", org_name="Acme Corp", users=users, products=products)


def ran(count: int, users: int | None = 3) -> Finding:
    return found(users, automation=ProductUsage(total_tests=count, total_duration=count * 37))


NOTHING = ran(0, users=0)


@settings(max_examples=300)
@given(zone=zones, now=instants, settle=st.timedeltas(timedelta(0), timedelta(days=3)))
def test_the_days_tried_are_the_newest_whole_ones_that_are_due(zone: Zone, now: datetime, settle: timedelta) -> None:
    days = last_due_days(make_org(zone=zone, granularity=Granularity.MONTH), now=now, settle=settle)
    calendar = Calendar(zone, Granularity.DAY)
    (span,) = merge(days)
    assert span.end <= now - settle < calendar.after(span.end)
    assert list(calendar.split(span)) == sorted(days, key=lambda day: day.start)
    assert len(days) == DAYS_TRIED


@settings(max_examples=300)
@given(zone=zones, now=instants)
def test_working_days_are_tried_before_weekends_and_new_ones_before_old(zone: Zone, now: datetime) -> None:
    days = last_due_days(make_org(zone=zone), now=now, settle=SETTLE)
    weekend = [day.start.astimezone(zone.tz).isoweekday() > 5 for day in days]
    assert weekend == [False] * 5 + [True] * 2
    for some in (days[:5], days[5:]):
        assert some == sorted(some, key=lambda day: day.start, reverse=True)


@settings(max_examples=300)
@given(zone=zones, now=instants)
def test_the_parts_of_a_day_are_the_day_cut_at_full_seconds(zone: Zone, now: datetime) -> None:
    for day in last_due_days(make_org(zone=zone), now=now, settle=SETTLE):
        parts = parts_of(day)
        assert len(parts) == PARTS
        assert merge(parts) == [day]
        assert sum((part.elapsed for part in parts), timedelta(0)) == day.elapsed
        assert {part.start.microsecond for part in parts} == {0}
        assert max(part.elapsed for part in parts) - min(part.elapsed for part in parts) <= timedelta(seconds=1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("now", ["2026-03-09T18:00", "2026-11-02T18:00", "2026-10-05T18:00", "2026-04-06T18:00"])
def test_the_whole_and_its_parts_can_be_asked(zone: str, now: str) -> None:
    org = make_org(zone=Zone.parse(zone))
    day = last_due_days(org, now=datetime.fromisoformat(now).replace(tzinfo=UTC), settle=SETTLE)[0]
    slices = whole_and_parts(org, Population.SERVICE_USER, day)
    assert slices[0].window == day
    assert [s.window for s in slices[1:]] == parts_of(day)
    assert {s.population for s in slices} == {Population.SERVICE_USER}
    assert len({build_request(s, range_end=RangeEnd.INCLUSIVE).from_ for s in slices[1:]}) == PARTS


def test_a_day_of_an_odd_number_of_seconds_is_cut_without_a_gap() -> None:
    day = Window(NOW, NOW + timedelta(seconds=PARTS * 3600 + 1))
    assert {part.elapsed.total_seconds() for part in parts_of(day)} == {3600, 3601}
    assert merge(parts_of(day)) == [day]


@given(
    parts=st.lists(st.tuples(counts, counts, counts), min_size=1, max_size=PARTS),
    metric=st.sampled_from([0, 1, 2]),
    off=st.integers(-5, 5),
)
def test_parts_add_up_exactly_or_they_do_not(parts: list[tuple[int, int, int]], metric: int, off: int) -> None:
    def finding(of_tests: int, duration: int, screenshots: int) -> Finding:
        automation = ProductUsage(total_tests=of_tests, total_duration=duration)
        return found(automation=automation, smartui=ProductUsage(total_screenshots=screenshots))

    parts = [*parts, (5, 5, 5)]
    whole = [sum(column) for column in zip(*parts, strict=True)]
    whole[metric] += off
    verdict = additivity(finding(*whole), [finding(*part) for part in parts])
    assert verdict is (Additivity.ADDS_UP if off == 0 else Additivity.DIFFERS)


@pytest.mark.parametrize(
    ("whole", "parts", "verdict"),
    [
        (ran(4), [ran(1)] * 4, Additivity.ADDS_UP),
        (ran(4), [ran(4), NOTHING, NOTHING, NOTHING], Additivity.ADDS_UP),
        (ran(5), [ran(1)] * 4, Additivity.DIFFERS),
        (ran(3), [ran(1)] * 4, Additivity.DIFFERS),
        (NOTHING, [NOTHING] * 4, Additivity.NO_USAGE),
        (NOTHING, [NOTHING, ran(1), NOTHING, NOTHING], Additivity.DIFFERS),
        (ran(4), [NOTHING] * 4, Additivity.DIFFERS),
        (None, [ran(1)] * 4, Additivity.UNKNOWN),
        (ran(4), [ran(1), None, ran(1), ran(1)], Additivity.UNKNOWN),
        (ran(4, users=None), [ran(1)] * 4, Additivity.UNKNOWN),
        (ran(4), [ran(1), ran(1), ran(1), ran(1, users=None)], Additivity.UNKNOWN),
        (found(automation=None, users=None), [NOTHING] * 4, Additivity.UNKNOWN),
    ],
)
def test_a_verdict_is_given_only_on_complete_answers(
    whole: Finding | None, parts: list[Finding | None], verdict: Additivity
) -> None:
    assert additivity(whole, parts) is verdict


def test_users_are_distinct_and_never_added_up() -> None:
    assert additivity(ran(4, users=3), [ran(1, users=3)] * 4) is Additivity.ADDS_UP


def test_a_product_that_only_one_part_has_is_added_up_too() -> None:
    whole = found(automation=ProductUsage(total_tests=4), realtime=ProductUsage(total_tests=1))
    parts = [found(automation=ProductUsage(total_tests=1))] * 3
    last = found(automation=ProductUsage(total_tests=1), realtime=ProductUsage(total_tests=1))
    assert additivity(whole, [*parts, last]) is Additivity.ADDS_UP
    assert additivity(whole, [*parts, parts[0]]) is Additivity.DIFFERS


def test_totals_are_kept_apart_by_product_and_metric_and_unknown_ones_left_out() -> None:
    findings = [
        found(automation=ProductUsage(total_tests=1, total_duration=2), smartui=ProductUsage(total_screenshots=3)),
        found(automation=ProductUsage(total_tests=10, total_duration=20), smartui=None),
    ]
    assert +totals(findings) == {
        ("automation", "tests"): 11,
        ("automation", "duration"): 22,
        ("smartui", "screenshots"): 3,
    }


def test_metrics_that_no_document_names_are_added_up_too() -> None:
    def sessions(count: int) -> Finding:
        return found(new_one=ProductUsage(extra={"sessions": count, "unit": "ms"}))

    assert additivity(sessions(4), [sessions(1)] * 4) is Additivity.ADDS_UP
    assert additivity(sessions(9), [sessions(1)] * 4) is Additivity.DIFFERS


def test_days_with_users_but_without_counts_say_nothing_about_adding_up() -> None:
    assert additivity(ran(0, users=2), [ran(0, users=1)] * 4) is Additivity.NO_USAGE


@pytest.mark.parametrize(
    ("findings", "same"),
    [
        ([ran(5), ran(5)], True),
        ([ran(5, users=1), ran(5, users=9)], True),
        ([ran(5), ran(6)], False),
        ([ran(0), ran(0)], False),
        ([NOTHING, NOTHING], False),
        ([ran(5)], False),
        ([ran(5), None], False),
        ([ran(5), ran(5, users=None)], False),
        ([ran(5), NOTHING], False),
        ([], False),
    ],
)
def test_identical_totals_of_both_populations_are_noticed_unless_they_are_zero(
    findings: list[Finding | None], same: bool
) -> None:
    assert same_totals(findings) is same
