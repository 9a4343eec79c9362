"""The weekday-weighted forecast: exact, by the same weekdays, never made from unknown days."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from collector.core.forecast import FEWEST, still_to_come

MONDAY = date(2026, 6, 1)
NUMBERS = st.integers(0, 10**12)
DAYS = st.integers(0, 60)


def day(n: int) -> date:
    return MONDAY + timedelta(days=n)


def days(numbers: dict[int, int]) -> dict[date, int]:
    return {day(n): number for n, number in numbers.items()}


KNOWN = st.dictionaries(DAYS, NUMBERS, min_size=FEWEST).map(days)
OPEN = st.dictionaries(st.integers(61, 91), st.just(0)).map(days)


def test_each_weekday_is_expected_to_be_like_the_mean_of_its_own_known_days() -> None:
    known = days({n: 100 if n % 7 < 5 else 10 for n in range(14)} | {0: 400})
    assert still_to_come(known, days({14: 0})) == 250  # a Monday: 400 and 100
    assert still_to_come(known, days({15: 0, 19: 0})) == 110


def test_a_weekday_without_a_known_day_is_like_all_days() -> None:
    known = days({n: n for n in range(21) if n % 7 != 6})
    assert still_to_come(known, days({27: 0})) == Fraction(sum(known.values()), 18)


def test_of_a_day_that_is_known_in_part_only_the_rest_is_expected() -> None:
    known = days(dict.fromkeys(range(7), 100))
    assert still_to_come(known, days({7: 30})) == 70
    assert still_to_come(known, days({7: 130, 8: 0})) == 100  # what is more than expected takes nothing from others


@given(known=st.dictionaries(DAYS, NUMBERS, max_size=FEWEST - 1).map(days), open_=OPEN)
def test_of_too_few_known_days_nothing_is_forecast(known: dict[date, int], open_: dict[date, int]) -> None:
    assert still_to_come(known, open_) == (None if open_ else 0)


@given(known=st.sets(DAYS, min_size=FEWEST), number=NUMBERS, open_=OPEN)
def test_a_constant_series_forecasts_itself(known: set[int], number: int, open_: dict[date, int]) -> None:
    assert still_to_come(days(dict.fromkeys(known, number)), open_) == number * len(open_)


@given(week=st.lists(NUMBERS, min_size=7, max_size=7), missing=st.sets(DAYS, max_size=20), open_=OPEN)
def test_a_weekly_pattern_forecasts_the_pattern(week: list[int], missing: set[int], open_: dict[date, int]) -> None:
    known = days({n: week[n % 7] for n in range(61) if n not in missing})
    if {one.weekday() for one in open_} <= {one.weekday() for one in known}:
        assert still_to_come(known, open_) == sum(week[one.weekday()] for one in open_)


@given(known=KNOWN, open_=OPEN, factor=st.fractions(min_value=0, max_value=1000, max_denominator=1000))
def test_it_scales_with_its_basis(known: dict[date, int], open_: dict[date, int], factor: Fraction) -> None:
    once = still_to_come(known, open_)
    assert once is not None
    assert still_to_come({one: number * factor for one, number in known.items()}, open_) == once * factor


@given(known=KNOWN, open_=OPEN)
def test_it_is_between_the_smallest_and_the_largest_known_day(known: dict[date, int], open_: dict[date, int]) -> None:
    found = still_to_come(known, open_)
    assert found is not None
    assert min(known.values()) * len(open_) <= found <= max(known.values()) * len(open_)
