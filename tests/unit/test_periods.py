"""The period of a report, what it is compared with, and the parts of its charts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.app.report import period_of
from collector.core.grouping import By
from collector.core.grouping import period_of as start_of
from collector.core.periods import Period
from collector.core.ranges import Between, Last, Moment
from collector.errors import ConfigError
from collector.model import Zone
from tests.support.orgs import make_org

DAYS = st.dates(date(2019, 12, 25), date(2026, 12, 31))
PERIODS = st.builds(lambda first, days: Period(first, first + timedelta(days=days)), DAYS, st.integers(0, 800))


@pytest.mark.parametrize(
    ("first", "last", "before"),
    [
        ("2026-10-01", "2026-10-31", "2026-09-01 to 2026-09-30"),  # a month
        ("2026-01-01", "2026-01-31", "2025-12-01 to 2025-12-31"),
        ("2026-04-01", "2026-06-30", "2026-01-01 to 2026-03-31"),  # a quarter
        ("2025-01-01", "2025-12-31", "2024-01-01 to 2024-12-31"),  # a year: 365 days, and 366
        ("2026-11-01", "2026-11-26", "2026-10-01 to 2026-10-26"),  # a month so far
        ("2026-03-01", "2026-03-30", "2026-02-01 to 2026-02-28"),  # of a month that is shorter: all of it
        ("2026-11-03", "2026-11-09", "2026-10-27 to 2026-11-02"),  # a week
        ("2026-11-03", "2026-11-03", "2026-11-02"),
        ("2026-10-01", "2026-11-26", "2026-08-05 to 2026-09-30"),  # no month of its own: as many days
    ],
)
def test_a_period_is_compared_with_one_like_it(first: str, last: str, before: str) -> None:
    assert str(Period(date.fromisoformat(first), date.fromisoformat(last)).before()) == before


@given(PERIODS)
def test_the_period_before_ends_before_it_and_is_no_longer_but_for_months(period: Period) -> None:
    before = period.before()
    assert before.last < period.first
    assert before.days <= period.days or period.is_months


@given(PERIODS, st.sampled_from([By.DAY, By.WEEK, By.MONTH]))
def test_parts_cover_each_day_and_are_as_few_as_a_chart_can_show(period: Period, coarsest: By) -> None:
    length = period.part(coarsest)
    parts = period.parts(length)
    assert {start_of(day, length) for day in period.dates()} == set(parts)
    assert all(one < other for one, other in pairwise(parts))
    assert len(parts) <= 107
    order = [By.DAY, By.WEEK, By.MONTH]
    assert order.index(length) >= order.index(coarsest)


NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
ORGS = [make_org("here"), make_org("west", zone=Zone.parse("America/Los_Angeles"))]


def period(range_: Between | Last | None, *, settle: timedelta = timedelta(hours=6)) -> str:
    return str(period_of(range_, ORGS, now=NOW, settle=settle))


def between(first: str, last: str | None = None) -> Between:
    return Between(Moment.parse(first), None if last is None else Moment.parse(last))


def test_a_report_ends_with_the_last_day_that_is_due_for_every_org() -> None:
    assert period(None) == "2026-10-27 to 2026-11-25"
    assert period(None, settle=timedelta(0)) == "2026-10-27 to 2026-11-25", "the 26th has not ended in the west"
    assert period(Last(timedelta(days=7))) == "2026-11-19 to 2026-11-25"
    assert period(between("2026-11-01")) == "2026-11-01 to 2026-11-25"
    assert period(between("2026-11-01", "2026-11-30")) == "2026-11-01 to 2026-11-25"
    assert period(between("2026-10-01", "2026-10-31")) == "2026-10-01 to 2026-10-31"


@pytest.mark.parametrize(
    ("range_", "message"),
    [
        (between("2026-11-27"), "the last day that is due"),
        (between("2026-11-05", "2026-11-04"), "swap --from and --to"),
        (between("2026-11-05T10:00"), "--from: a report is of whole days: write 2026-11-05"),
        (between("2026-11-05", "2026-11-06T10:00"), "--to: a report is of whole days: write 2026-11-06"),
        (Last(timedelta(hours=36)), "--last: a report is of whole days"),
    ],
)
def test_a_range_without_a_whole_due_day_is_refused_with_what_to_write(range_: Between | Last, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        period(range_)
