"""The ranges that people give, and what they select: whole windows, due, wanted, and told where that is less."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.ranges import Between, Last, Moment, Range, Selection, select
from collector.core.windows import Calendar, start_of_date
from collector.model import Granularity, Window, Zone

NOW = datetime(2026, 6, 24, 10, 20, tzinfo=UTC)  # a Wednesday
SETTLE = timedelta(hours=6)
NEW_YORK = Zone.parse("America/New_York")
ZONES = [Zone.parse(name) for name in ("UTC", "+05:30", "America/New_York", "Australia/Lord_Howe", "America/Havana")]
NO_DATE = "is not a date or time; write 2026-06-23, 2026-06-23T14:00 or 2026-06-23T14:00:00+02:00"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def calendar(zone: str = "UTC", granularity: Granularity = Granularity.DAY) -> Calendar:
    return Calendar(Zone.parse(zone), granularity)


def between(start: str, end: str | None = None) -> Between:
    return Between(Moment.parse(start), None if end is None else Moment.parse(end))


def selected(
    range_: Range, cal: Calendar | None = None, *, now: datetime = NOW, since: date | None = None
) -> Selection:
    return select(range_, cal or calendar(), now=now, settle=SETTLE, since=since)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-06-23", date(2026, 6, 23)),
        ("2024-02-29", date(2024, 2, 29)),
        ("2015-01-01", date(2015, 1, 1)),
        ("2026-06-23T10:00", datetime(2026, 6, 23, 10)),  # noqa: DTZ001
        ("2026-06-23 10:00", datetime(2026, 6, 23, 10)),  # noqa: DTZ001
        ("2026-06-23T10:00:05", datetime(2026, 6, 23, 10, 0, 5)),  # noqa: DTZ001
        ("2026-06-23T10:00Z", datetime(2026, 6, 23, 10, tzinfo=UTC)),
        ("2026-06-23T10:00:00+00:00", datetime(2026, 6, 23, 10, tzinfo=UTC)),
        ("2026-06-23T10:00+05:30", datetime(2026, 6, 23, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_it_is_written(text: str, value: date) -> None:
    read = Moment.parse(text).value
    assert type(read) is type(value)
    assert read == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "today",
            "06/23/2026",
            "2026",
            "2026-6-23",
            "\uff12026-06-23",
        ),
        *(" 2026-06-23", "2026-06-23 ", "2026-06-23\n", "2026-06-23Z", "2026-06-23T", "45.06.2026"),
    ],
)
def test_what_is_no_moment_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{text!r} {NO_DATE}')}$"):
        Moment.parse(text)


@pytest.mark.parametrize("text", ["", " ", "1782172800", "kQ7vX2mN9pL4", "hunter22"])
def test_text_that_is_nothing_like_a_date_is_not_shown(text: str) -> None:
    """It may be a secret that was pasted into the wrong option."""
    shown = f"text of {len(text)} character{'s' * (len(text) > 1)}" if text else "empty text"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{shown} {NO_DATE}')}$"):
        Moment.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("20260623T1000", "2026-W26", "2026W262", "2026-W26-2"),
        *("2026-06-23+02:00", "2026-06-23-05:00", "2026-06-23x10:00", "2026-06-23T10:00 +02:00"),
    ],
)
def test_a_date_in_another_form_is_never_read_as_a_time_of_day(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{text!r} {NO_DATE}')}$"):
        Moment.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (text, f"{text!r} does not exist: check the month, the day, the time and the offset")
            for text in ("2026-02-30", "2026-06-31", "0000-01-01", "2026-13-01", "2026-06-23T25:00")
        ),
        ("2026-06-23T10:60", "'2026-06-23T10:60' does not exist: check the month, the day, the time and the offset"),
        ("2026-11", "'2026-11' is a month, and a day is needed: write 2026-11-01 for its first day"),
        ("01.11.2026", "'01.11.2026' is not written as year-month-day: write 2026-11-01"),
        ("2026/11/01", "'2026/11/01' is not written as year-month-day: write 2026-11-01"),
        ("20261101", "'20261101' is not written as year-month-day: write 2026-11-01"),
    ],
)
def test_a_date_that_is_nearly_right_is_refused_with_that_date(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Moment.parse(text)


@pytest.mark.parametrize("text", ["2014-12-31", "1970-01-01", "0001-01-01", "2014-12-31T23:59:59+00:00"])
def test_a_moment_before_anything_was_used_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'{text!r} is out of range: there is no usage before 2015-01-01')}$"
    ):
        Moment.parse(text)


@pytest.mark.parametrize("text", ["9001-01-01", "9999-12-31", "9999-12-31T23:59:59-14:00"])
def test_a_moment_at_the_end_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is out of range"):
        Moment.parse(text)


@pytest.mark.parametrize(
    ("zone", "text", "start", "end"),
    [
        ("UTC", "2026-06-23", "2026-06-23T00:00", "2026-06-24T00:00"),
        ("+05:30", "2026-06-23", "2026-06-22T18:30", "2026-06-23T18:30"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00", "2026-03-09T04:00"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00", "2026-11-02T05:00"),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00", "2026-03-09T04:00"),  # begins at 01:00
        ("Asia/Beirut", "2026-10-24", "2026-10-23T21:00", "2026-10-24T22:00"),
        ("America/New_York", "2026-06-23T10:00", "2026-06-23T14:00", "2026-06-23T14:00"),
        ("America/New_York", "2026-06-23T10:00Z", "2026-06-23T10:00", "2026-06-23T10:00"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30", "2026-11-01T06:30"),  # read twice
        ("America/New_York", "2026-11-01T01:30-05:00", "2026-11-01T06:30", "2026-11-01T06:30"),
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:00", "2026-03-08T07:00"),  # skipped: the shift
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45", "2026-04-04T15:15"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30", "2026-10-03T15:30"),
    ],
)
def test_a_moment_is_the_first_instant_that_it_can_mean_as_a_start_and_the_last_as_an_end(
    zone: str, text: str, start: str, end: str
) -> None:
    moment = Moment.parse(text)
    assert moment.as_start(Zone.parse(zone)) == utc(start)
    assert moment.as_end(Zone.parse(zone)) == utc(end)


def test_the_last_days_are_those_that_ended_within_the_duration() -> None:
    assert selected(Last(timedelta(days=3))) == Selection(span=Window(utc("2026-06-21T00:00"), utc("2026-06-24T00:00")))
    early = utc("2026-06-24T05:59")  # yesterday isn't due before six
    assert selected(Last(timedelta(days=3)), now=early) == Selection(
        span=Window(utc("2026-06-21T00:00"), utc("2026-06-23T00:00")), cut_due=utc("2026-06-23T00:00")
    )
    on_time = utc("2026-06-24T06:00")
    assert selected(Last(timedelta(days=3)), now=on_time).span == Window(
        utc("2026-06-21T00:00"), utc("2026-06-24T00:00")
    )


@pytest.mark.parametrize(
    ("granularity", "duration", "span"),
    [
        (Granularity.HOUR, timedelta(hours=8), ("2026-06-24T02:00", "2026-06-24T04:00")),
        (Granularity.HOUR, timedelta(hours=6), None),
        (Granularity.DAY, timedelta(hours=11), ("2026-06-23T00:00", "2026-06-24T00:00")),
        (Granularity.DAY, timedelta(hours=10), None),
        (Granularity.WEEK, timedelta(days=3), ("2026-06-15T00:00", "2026-06-22T00:00")),
        (Granularity.WEEK, timedelta(days=2), None),
        (Granularity.MONTH, timedelta(days=30), ("2026-05-01T00:00", "2026-06-01T00:00")),
        (Granularity.MONTH, timedelta(days=20), None),
    ],
)
def test_a_window_that_ended_before_the_duration_is_not_selected(
    granularity: Granularity, duration: timedelta, span: tuple[str, str] | None
) -> None:
    selection = selected(Last(duration), calendar("UTC", granularity))
    assert selection.span == (None if span is None else Window(utc(span[0]), utc(span[1])))


def test_a_range_of_whole_days_is_taken_as_it_is_and_nothing_is_told() -> None:
    assert selected(between("2026-06-01", "2026-06-10")) == Selection(
        span=Window(utc("2026-06-01T00:00"), utc("2026-06-11T00:00"))
    )


def test_a_range_is_widened_to_whole_windows_and_told() -> None:
    selection = selected(between("2026-06-01T12:00", "2026-06-03T00:01"))
    assert selection.span == Window(utc("2026-06-01T00:00"), utc("2026-06-04T00:00"))
    assert selection.widened_from == Window(utc("2026-06-01T12:00"), utc("2026-06-03T00:01"))
    assert selection.cut_due is None
    months = selected(between("2026-03-15", "2026-04-01"), calendar("Europe/Berlin", Granularity.MONTH))
    assert months.span == Window(utc("2026-02-28T23:00"), utc("2026-04-30T22:00"))
    assert months.widened_from == Window(utc("2026-03-14T23:00"), utc("2026-04-01T22:00"))


def test_a_range_is_cut_to_what_is_due_and_told() -> None:
    selection = selected(between("2026-06-20", "2026-06-30"))
    assert selection.span == Window(utc("2026-06-20T00:00"), utc("2026-06-24T00:00"))
    assert selection.cut_due == utc("2026-06-24T00:00")
    weeks = selected(
        between("2026-06-08", "2026-06-21"), calendar("UTC", Granularity.WEEK), now=utc("2026-06-22T03:00")
    )
    assert weeks.span == Window(utc("2026-06-08T00:00"), utc("2026-06-15T00:00"))
    assert weeks.cut_due == utc("2026-06-15T00:00")


def test_a_range_without_an_end_goes_through_all_that_is_due() -> None:
    assert selected(between("2026-06-20")) == Selection(span=Window(utc("2026-06-20T00:00"), utc("2026-06-24T00:00")))
    today = selected(between("2026-06-24"))
    assert today.span is None


@pytest.mark.parametrize(
    "range_", [between("2026-07-01", "2026-07-05"), between("2026-07-01"), between("8999-01-01", "9000-12-31")]
)
@pytest.mark.parametrize("granularity", Granularity)
def test_a_range_wholly_in_the_future_selects_nothing_and_tells_why(range_: Between, granularity: Granularity) -> None:
    cal = calendar("America/New_York", granularity)
    selection = selected(range_, cal)
    assert selection.span is None
    assert selection.cut_due == cal.floor(NOW - SETTLE)


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    message = r"^the range ends \(2026-06-22\) before it starts \(2026-06-23\): swap --from and --to$"
    with pytest.raises(ValueError, match=message):
        selected(between("2026-06-23", "2026-06-22"))
    with pytest.raises(ValueError, match=r"^the range is empty: it starts and ends at 2026-06-23 10:00:00. --to must"):
        selected(between("2026-06-23T10:00", "2026-06-23T10:00"))


def test_one_day_is_a_range() -> None:
    assert selected(between("2026-06-22", "2026-06-22")).span == Window(
        utc("2026-06-22T00:00"), utc("2026-06-23T00:00")
    )


def test_nothing_older_than_since_is_selected_and_that_is_told() -> None:
    selection = selected(between("2026-06-01", "2026-06-10"), since=date(2026, 6, 5))
    assert selection.span == Window(utc("2026-06-05T00:00"), utc("2026-06-11T00:00"))
    assert selection.cut_since == utc("2026-06-05T00:00")
    assert selected(between("2026-06-05", "2026-06-10"), since=date(2026, 6, 5)).cut_since is None
    assert selected(between("2026-06-01", "2026-06-04"), since=date(2026, 6, 5)).span is None


@pytest.mark.parametrize(
    ("granularity", "since", "first"),
    [
        (Granularity.WEEK, date(2026, 6, 3), "2026-06-08T00:00"),  # a Wednesday: the week that it clips is left out
        (Granularity.WEEK, date(2026, 6, 8), "2026-06-08T00:00"),
        (Granularity.WEEK, date(2026, 6, 14), "2026-06-15T00:00"),
        (Granularity.MONTH, date(2026, 3, 2), "2026-04-01T00:00"),
        (Granularity.MONTH, date(2026, 3, 1), "2026-03-01T00:00"),
    ],
)
def test_since_within_a_window_excludes_that_window(granularity: Granularity, since: date, first: str) -> None:
    for range_ in (between("2026-01-01"), Last(timedelta(days=175))):
        selection = selected(range_, calendar("UTC", granularity), since=since)
        assert selection.span is not None
        assert selection.span.start == utc(first)
        assert selection.cut_since == utc(first)


@pytest.mark.parametrize("granularity", [Granularity.DAY, Granularity.WEEK, Granularity.MONTH])
def test_a_since_that_never_comes_selects_nothing(granularity: Granularity) -> None:
    for zone in ZONES:
        selection = selected(Last(timedelta(days=3)), Calendar(zone, granularity), since=date(9999, 12, 31))
        assert selection.span is None


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "Africa/Monrovia", "America/New_York", "UTC"])
@pytest.mark.parametrize("years", [12, 60, 100, 3000])
def test_a_duration_reaches_back_no_further_than_anything_was_used(zone: str, years: int) -> None:
    span = selected(Last(timedelta(days=366 * years)), calendar(zone)).span
    assert span is not None
    assert span.start == start_of_date(date(2015, 1, 1), Zone.parse(zone))


instants = st.datetimes(datetime(2025, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001
calendars = st.builds(Calendar, st.sampled_from(ZONES), st.sampled_from(Granularity))
sinces = st.none() | st.dates(date(2025, 1, 1), date(2027, 6, 1))
settles = st.timedeltas(timedelta(0), timedelta(days=3))


def wanted(cal: Calendar, around: Window, *, now: datetime, settle: timedelta, since: date | None) -> list[Window]:
    """The windows that touch a span, are due, and aren't older than since: each looked at by itself."""
    oldest = None if since is None else start_of_date(since, cal.zone)
    touching = cal.split(cal.widen(around))
    return [w for w in touching if w.end <= now - settle and (oldest is None or w.start >= oldest)]


@settings(max_examples=300)
@given(
    cal=calendars,
    start=instants,
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=120)),
    now=instants,
    settle=settles,
    since=sinces,
)
def test_a_range_selects_exactly_the_windows_that_it_touches_are_due_and_wanted(
    cal: Calendar, start: datetime, length: timedelta, now: datetime, settle: timedelta, since: date | None
) -> None:
    length = length / 20 if cal.granularity is Granularity.HOUR else length
    asked = Window(start, start + length)
    range_ = Between(Moment(asked.start), Moment(asked.end))
    selection = select(range_, cal, now=now, settle=settle, since=since)
    whole = cal.widen(asked)
    expected = wanted(cal, asked, now=now, settle=settle, since=since)
    assert (list(cal.split(selection.span)) if selection.span else []) == expected
    assert selection.widened_from == (asked if whole != asked else None)
    assert (selection.cut_due is not None) is (whole.end > now - settle)
    assert (selection.cut_since is not None) is (since is not None and whole.start < start_of_date(since, cal.zone))
    assert selection.cut_due is None or selection.cut_due <= now - settle


@settings(max_examples=300)
@given(
    cal=calendars,
    duration=st.timedeltas(timedelta(hours=1), timedelta(days=120)),
    now=instants,
    settle=settles,
    since=sinces,
)
def test_a_duration_selects_exactly_the_windows_that_ended_within_it(
    cal: Calendar, duration: timedelta, now: datetime, settle: timedelta, since: date | None
) -> None:
    duration = duration / 20 if cal.granularity is Granularity.HOUR else duration
    selection = select(Last(duration), cal, now=now, settle=settle, since=since)
    around = Window(now - duration, now)
    ended = [w for w in wanted(cal, around, now=now, settle=settle, since=since) if w.end > now - duration]
    assert (list(cal.split(selection.span)) if selection.span else []) == ended
    assert selection.widened_from is None
    assert (selection.cut_due is not None) is (cal.floor(now) > now - settle)
