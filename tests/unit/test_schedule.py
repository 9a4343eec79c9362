"""When runs are due, as users of cron expect it, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.schedule import Schedule, cron_flaw
from collector.model import UTC_ZONE, Zone

BERLIN = Zone.parse("Europe/Berlin")


def local_times(cron: str, zone: Zone, start: datetime, count: int) -> list[str]:
    schedule, at, times = Schedule(cron, zone), start, []
    for _ in range(count):
        at = schedule.after(at)
        times.append(f"{at.astimezone(zone.tz):%m-%d %H:%M%z}")
    return times


def test_a_time_that_is_skipped_in_spring_runs_right_after() -> None:
    times = local_times("30 2 * * *", BERLIN, datetime(2026, 3, 28, 12, tzinfo=UTC), 2)
    assert times == ["03-29 03:00+0200", "03-30 02:30+0200"]


def test_a_time_that_comes_twice_in_autumn_runs_once() -> None:
    times = local_times("30 2 * * *", BERLIN, datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert times == ["10-25 02:30+0200", "10-26 02:30+0100"]


def test_within_the_hour_that_comes_twice_the_next_time_is_never_in_the_past() -> None:
    schedule = Schedule("30 2,14 * * *", BERLIN)
    for minutes in range(180):
        now = datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=minutes)
        assert schedule.after(now) > now


def test_every_hour_means_every_hour_also_on_days_of_23_and_25() -> None:
    for day, hours in ((datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)):
        schedule, at, runs = Schedule("20 * * * *", BERLIN), day, 0
        while (at := schedule.after(at)) < day + timedelta(hours=hours):
            runs += 1
        assert runs == hours


def test_the_instant_itself_is_not_after_itself() -> None:
    schedule = Schedule("20 * * * *", UTC_ZONE)
    at = datetime(2026, 5, 1, 10, 20, tzinfo=UTC)
    assert schedule.after(at) == at + timedelta(hours=1)
    assert schedule.after(at - timedelta(microseconds=1)) == at


@given(
    st.integers(0, 60 * 24 * 400), st.sampled_from(["30 2 * * *", "0,30 0-3 * * *", "15 */2 * * SUN", "59 23 L * *"])
)
def test_what_comes_after_is_after_whatever_the_clocks_of_the_zone_do(minutes: int, cron: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    for zone in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Santiago"):
        assert Schedule(cron, Zone.parse(zone)).after(now) > now


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.sampled_from(["UTC", "Europe/Berlin", "+05:30"]))  # noqa: DTZ001
def test_what_comes_after_is_after_and_nothing_is_left_out_between(naive: datetime, zone: str) -> None:
    schedule, now = Schedule("20 * * * *", Zone.parse(zone)), naive.replace(tzinfo=UTC)
    following = schedule.after(now)
    assert timedelta(0) < following - now <= timedelta(hours=1)


@pytest.mark.parametrize("cron", ["61 * * * *", "0 0 30 2 *", "x * * * *", "0 0 * * 9", "*/0 * * * *"])
def test_an_expression_that_means_nothing_has_a_flaw(cron: str) -> None:
    assert cron_flaw(cron)


@pytest.mark.parametrize("cron", ["20 * * * *", "*/15 6-20 * * MON-FRI", "0 4 1 * *", "0 0 29 2 *"])
def test_one_that_dates_meet_has_none(cron: str) -> None:
    assert cron_flaw(cron) is None
