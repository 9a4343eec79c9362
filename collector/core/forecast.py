"""The weekday-weighted forecast: what is still to come in a month, by what was used on the same weekdays before.

Each day without a known number is expected to be like the mean of the known days of its weekday; a weekday without a
known day is like the mean of all known days. Unknown days are never a basis: of too few known days, nothing is
forecast. What is known in part of a day counts already, so only the rest is expected. Exact and pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction

BASIS_DAYS = 28  # before the present day: four of each weekday
FEWEST = 7  # known days that a forecast is made from

Number = int | Fraction


def still_to_come(known: Mapping[date, Number], open_: Mapping[date, Number]) -> Fraction | None:
    """Return what is expected on the days of `open_`, beyond the part that is known of each.

    `known` are the days that are known as a whole, with their numbers. None: there are open days, and too few known.
    """
    if not open_:
        return Fraction()
    if len(known) < FEWEST:
        return None
    of_all = _mean(known.values())
    by_weekday: dict[int, list[Number]] = {}
    for day, number in known.items():
        by_weekday.setdefault(day.weekday(), []).append(number)
    means = {weekday: _mean(numbers) for weekday, numbers in by_weekday.items()}
    return sum((max(means.get(day.weekday(), of_all) - part, Fraction()) for day, part in open_.items()), Fraction())


def _mean(numbers: Iterable[Number]) -> Fraction:
    found = list(numbers)
    return Fraction(sum(found), len(found))
