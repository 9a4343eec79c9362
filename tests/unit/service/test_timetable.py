"""When the service runs next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collector.core.schedule import Schedule
from collector.model import UTC_ZONE
from collector.service.timetable import Timetable

HOURLY = Schedule("20 * * * *", UTC_ZONE)
NOON = datetime(2026, 6, 24, 12, 0, tzinfo=UTC)
TWENTY = timedelta(minutes=20)
HOUR = timedelta(hours=1)


def table(now: datetime = NOON, jitter: timedelta = timedelta(0)) -> Timetable:
    return Timetable(HOURLY, jitter, next_at=now)


def test_the_very_first_run_is_at_once() -> None:
    times = table()
    times.first(None, NOON, chance=0.0)
    assert times.due(NOON)


def test_a_restart_runs_at_once_only_if_a_run_was_missed() -> None:
    times = table()
    times.first(NOON - 2 * HOUR, NOON, chance=0.0)
    assert times.due(NOON)
    times.first(NOON - timedelta(minutes=40), NOON, chance=0.0)
    assert not times.due(NOON)
    assert times.next_at == NOON + TWENTY


def test_jitter_delays_a_run_and_never_hastens_it() -> None:
    times = table(jitter=timedelta(seconds=60))
    times.began(NOON, chance=0.5)
    assert times.next_at == NOON + TWENTY + timedelta(seconds=30)


def test_a_run_longer_than_its_interval_is_followed_by_one_and_not_by_a_pile() -> None:
    times = table()
    times.began(NOON + TWENTY, chance=0.0)
    late = NOON + 5 * HOUR
    assert times.due(late)
    times.began(late, chance=0.0)
    assert not times.due(late)
    assert times.next_at == late + TWENTY


def test_after_failures_it_waits_longer_each_time_and_then_runs_at_once() -> None:
    times = table()
    times.began(NOON, chance=0.0)
    pauses = [times.failed(1000.0) for _ in range(8)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 10
    assert pauses[-1] == 600
    assert times.due(NOON)
    assert not times.may_run(1000.0 + 599)
    assert times.may_run(1000.0 + 600)
    times.succeeded()
    assert times.failed(0.0) == 10


def test_a_clock_that_is_set_back_postpones_nothing() -> None:
    times = table()
    times.began(NOON + 48 * HOUR, chance=0.0)  # the clock had leapt two days ahead
    assert times.check_clock(NOON)
    assert times.next_at == NOON + TWENTY
    assert not times.check_clock(NOON)


def test_a_look_at_the_clock_takes_no_jitter_from_a_run_that_waits_for_it() -> None:
    times = table(jitter=timedelta(seconds=60))
    times.began(NOON, chance=1.0)
    for seconds in range(0, 21 * 60, 5):
        assert not times.check_clock(NOON + timedelta(seconds=seconds))
    assert times.next_at == NOON + TWENTY + timedelta(seconds=60)


def test_another_schedule_holds_at_once_and_the_same_changes_nothing() -> None:
    times = table(jitter=timedelta(seconds=60))
    times.began(NOON, chance=0.25)
    before = times.next_at
    times.change(HOURLY, timedelta(seconds=60), NOON, chance=0.9)
    assert times.next_at == before
    times.change(Schedule("5 * * * *", UTC_ZONE), timedelta(0), NOON, chance=0.0)
    assert times.next_at == NOON + timedelta(minutes=5)


def test_it_sleeps_until_the_run_but_looks_at_the_wall_clock_every_minute() -> None:
    times = table()
    times.began(NOON, chance=0.0)
    assert times.sleep_s(NOON, 0.0, at_once=False) == 60
    assert times.sleep_s(NOON + TWENTY - timedelta(seconds=5), 0.0, at_once=False) == 5
    assert times.sleep_s(NOON, 0.0, at_once=True) < 1
    times.failed(0.0)
    assert times.sleep_s(NOON, 4.0, at_once=False) == 6
