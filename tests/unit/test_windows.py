"""The calendar, over every zone there is and over the shifts that broke others."""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.core.request import RangeEnd, build_request
from collector.core.windows import Calendar, last_instant_reading, merge, start_of_date
from collector.model import BearerCredential, Granularity, Org, Population, Slice, Window, Zone
from collector.zone_rules import zone_names
from tests.support.breadth import some_of

ALL_ZONES = sorted(zone_names() - {"Factory"})
EXACT = settings(max_examples=300)

zones = st.one_of(
    st.sampled_from(ALL_ZONES),
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 13), st.integers(0, 59)),
).map(Zone.parse)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
granularities = st.sampled_from(Granularity)


def calendar(zone: str, granularity: Granularity = Granularity.DAY) -> Calendar:
    return Calendar(Zone.parse(zone), granularity)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def org(zone: Zone, granularity: Granularity = Granularity.DAY) -> Org:
    return Org(
        name="acme",
        base_url="http://127.0.0.1",
        credential=BearerCredential(token="t"),
        zone=zone,
        granularity=granularity,
    )


@EXACT
@given(
    zone=zones,
    granularity=granularities,
    instant=instants,
    length=st.timedeltas(timedelta(minutes=1), timedelta(days=400)),
)
def test_windows_of_a_span_leave_no_gap_and_never_overlap(
    zone: Zone, granularity: Granularity, instant: datetime, length: timedelta
) -> None:
    cal = Calendar(zone, granularity)
    if granularity is Granularity.HOUR:
        length /= 20
    span = cal.widen(Window(instant, instant + length))
    windows = list(cal.split(span))
    assert [w.start for w in windows] + [span.end] == [span.start] + [w.end for w in windows]
    assert all(w.start < w.end for w in windows)
    assert span.start <= instant <= instant + length <= span.end
    assert merge(windows) == [span]


@EXACT
@given(zone=zones, granularity=granularities, instant=instants)
def test_each_instant_lies_in_exactly_the_window_that_floor_and_after_say(
    zone: Zone, granularity: Granularity, instant: datetime
) -> None:
    cal = Calendar(zone, granularity)
    start, end = cal.floor(instant), cal.after(instant)
    assert start <= instant < end
    assert cal.after(start) == end
    assert cal.floor(end) == end == cal.ceil(end)
    assert cal.floor(end - timedelta(microseconds=1)) == start
    assert cal.ceil(start + timedelta(microseconds=1)) == end


@pytest.mark.parametrize("name", some_of(ALL_ZONES, 150))
def test_days_of_every_zone_start_at_the_first_instant_of_their_date(name: str) -> None:
    zone = Zone.parse(name)
    for shift in offset_shifts(zone, date(2005, 1, 1), date(2027, 1, 1)):
        around = shift.astimezone(zone.tz).date()
        for day in (around + timedelta(days=n) for n in (-1, 0, 1, 2)):
            start = start_of_date(day, zone)
            assert start.astimezone(zone.tz).date() >= day
            assert (start - timedelta(seconds=1)).astimezone(zone.tz).date() < day


@pytest.mark.parametrize("name", some_of(ALL_ZONES, 150))
def test_hours_of_every_zone_start_exactly_where_the_wall_clock_reads_a_full_hour(name: str) -> None:
    zone = Zone.parse(name)
    cal = Calendar(zone, Granularity.HOUR)
    for shift in offset_shifts(zone, date(2005, 1, 1), date(2027, 1, 1)):
        start, end = shift - timedelta(hours=3), shift + timedelta(hours=3)
        minutes = [start + timedelta(minutes=n) for n in range(int((end - start).total_seconds()) // 60)]
        full = [t for t in minutes if t.astimezone(zone.tz).minute == 0]
        span = Window(cal.ceil(start), cal.ceil(end))
        assert [w.start for w in cal.split(span)] == full


@EXACT
@given(zone=zones, granularity=granularities, instant=instants, range_end=st.sampled_from(RangeEnd))
@example(Zone.parse("Australia/Lord_Howe"), Granularity.HOUR, utc("2026-04-04T15:00:00"), RangeEnd.INCLUSIVE)
def test_what_is_asked_on_the_wire_parsed_back_is_the_window(
    zone: Zone, granularity: Granularity, instant: datetime, range_end: RangeEnd
) -> None:
    cal = Calendar(zone, granularity)
    window = Window(cal.floor(instant), cal.after(instant))
    request = build_request(Slice(org(zone, granularity), Population.ACCOUNT_USER, window), range_end=range_end)
    start = datetime.fromisoformat(f"{request.from_}{request.timezone}")
    last = datetime.fromisoformat(f"{request.to}{request.timezone}")
    end = last + timedelta(seconds=1) if range_end is RangeEnd.INCLUSIVE else last
    assert Window(start.astimezone(UTC), end.astimezone(UTC)) == window
    assert window.elapsed <= timedelta(days=90)


@given(
    start=instants,
    cuts=st.lists(st.tuples(st.integers(-50, 150), st.integers(1, 40)), max_size=12),
)
def test_merging_keeps_the_same_time_in_the_fewest_windows(start: datetime, cuts: list[tuple[int, int]]) -> None:
    hour = timedelta(hours=1)
    windows = [Window(start + a * hour, start + (a + n) * hour) for a, n in cuts]
    merged = merge(windows)
    for n in range(-50, 200):
        moment = start + n * hour
        inside = any(w.start <= moment < w.end for w in windows)
        assert any(w.start <= moment < w.end for w in merged) is inside
    assert all(before.end < after.start for before, after in pairwise(merged))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23.0),
        ("America/New_York", "2026-11-01", 25.0),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Asia/Kathmandu", "2026-03-08", 24.0),
        ("-03:30", "2026-03-08", 24.0),
        ("America/Havana", "2026-03-08", 23.0),  # the clock jumps at midnight: the day starts at 01:00
        ("Asia/Beirut", "2026-10-25", 24.0),  # goes back at midnight, into the day before
        ("Asia/Beirut", "2026-10-24", 25.0),
        ("America/St_Johns", "2011-03-13", 23.0),  # used to shift at 00:01, so the day starts before it
        ("America/St_Johns", "2010-11-06", 24.0),  # at 00:01 back to 23:01: the day after has begun for good
        ("America/St_Johns", "2010-11-07", 25.0),
    ],
)
def test_days_are_as_long_as_the_zone_makes_them(zone: str, day: str, hours: float) -> None:
    cal = calendar(zone)
    start = start_of_date(date.fromisoformat(day), cal.zone)
    assert (cal.after(start) - start).total_seconds() / 3600 == hours


def test_a_date_that_the_zone_skipped_has_no_window() -> None:
    samoa = calendar("Pacific/Apia")
    days = list(samoa.split(samoa.widen(Window(utc("2011-12-29T12:00:00"), utc("2011-12-31T12:00:00")))))
    assert [w.start.astimezone(samoa.zone.tz).date().isoformat() for w in days] == [
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ]
    assert {w.elapsed for w in days} == {timedelta(days=1)}


def test_an_hour_that_is_read_twice_is_two_windows() -> None:
    cal = calendar("America/New_York", Granularity.HOUR)
    day = Window(utc("2026-11-01T04:00:00"), utc("2026-11-02T05:00:00"))
    assert len(list(cal.split(day))) == 25


def test_a_half_hour_shift_makes_one_long_hour_and_no_short_one() -> None:
    cal = calendar("Australia/Lord_Howe", Granularity.HOUR)
    around = Window(utc("2026-04-04T14:00:00"), utc("2026-04-04T16:30:00"))
    assert [w.elapsed for w in cal.split(around)] == [timedelta(minutes=90), timedelta(minutes=60)]


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    week = calendar("Europe/Berlin", Granularity.WEEK)
    assert week.floor(utc("2026-10-28T12:00:00")) == utc("2026-10-25T23:00:00")
    month = calendar("Europe/Berlin", Granularity.MONTH)
    october = Window(month.floor(utc("2026-10-28T12:00:00")), month.after(utc("2026-10-28T12:00:00")))
    assert october == Window(utc("2026-09-30T22:00:00"), utc("2026-10-31T23:00:00"))


def test_a_span_off_the_boundaries_is_never_split_into_clipped_windows() -> None:
    cal = calendar("Asia/Kathmandu")
    with pytest.raises(ValueError, match="does not begin and end on day boundaries of Asia/Kathmandu"):
        list(cal.split(Window(utc("2026-06-23T00:00:00"), utc("2026-06-25T00:00:00"))))


def test_a_time_read_twice_ends_at_its_second_reading() -> None:
    wall = datetime(2026, 11, 1, 1, 30, tzinfo=Zone.parse("America/New_York").tz)
    assert last_instant_reading(wall) == utc("2026-11-01T06:30:00")
    assert last_instant_reading(wall.replace(month=10)) == utc("2026-10-01T05:30:00")


def test_more_than_the_span_of_elapsed_time_is_never_asked() -> None:
    berlin = Zone.parse("Europe/Berlin")
    # 90 local days over the end of summer time are an hour more (api.md, "span")
    window = Window(start_of_date(date(2026, 9, 1), berlin), start_of_date(date(2026, 11, 30), berlin))
    assert window.elapsed == timedelta(days=90, hours=1)
    with pytest.raises(ValueError, match="is longer than 90 days"):
        build_request(Slice(org(berlin), Population.ACCOUNT_USER, window), range_end=RangeEnd.INCLUSIVE)


def test_an_offset_with_seconds_cannot_be_asked() -> None:
    paris = Zone.parse("Europe/Paris")
    window = Window(utc("1900-01-01T00:00:00"), utc("1900-01-02T00:00:00"))
    with pytest.raises(ValueError, match="whole minutes of offset"):
        build_request(Slice(org(paris), Population.ACCOUNT_USER, window), range_end=RangeEnd.INCLUSIVE)


@pytest.mark.parametrize("name", ["Mars/Olympus", "+15:00", "+05:60", "5:30", "", "../etc/passwd", "UTC\x00"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown time zone|out of range"):
        Zone.parse(name)


@functools.cache
def offset_shifts(zone: Zone, start: date, end: date) -> list[datetime]:
    """The instants, to the minute, at which a zone's offset changes, found by looking at each half day."""
    found = []
    moment = datetime(start.year, start.month, start.day, tzinfo=UTC)
    step = timedelta(hours=12)
    while moment.date() < end:
        if moment.astimezone(zone.tz).utcoffset() != (moment + step).astimezone(zone.tz).utcoffset():
            low, high = moment, moment + step
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=1) // 2)
                if middle.astimezone(zone.tz).utcoffset() == low.astimezone(zone.tz).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        moment += step
    return found
