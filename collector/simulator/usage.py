"""The true usage that the simulated API reports.

Theory of operation. For each UTC day of a population, a keyed hash draws the number of tests per product.
The k-th of N tests is in the second in which `N * share of the day` reaches k, where the share follows a
fixed profile of the hours. The day's active users get the tests in turn. So the total of a window is the
difference of two cumulative counts, and totals are additive over any partition into seconds. Every test
has a user: there is never usage without users, nor a user without usage.

Only arithmetic: reads no clock, and keeps no state but a limited cache of days. Times are whole seconds
since 1970 UTC; windows are half-open.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from functools import lru_cache

from collector.simulator.habits import PRODUCTS, Habit, Population, habit, seed_key

DAY_S = 86_400
FIRST_DAY = 17_897  # 2019-01-01: there is no usage before
_HOURS = (2, 2, 1, 1, 2, 3, 6, 10, 14, 16, 16, 15, 13, 14, 16, 16, 14, 11, 8, 6, 5, 4, 3, 2)
_WEIGHT = sum(_HOURS) * 3600
_BEFORE_HOUR = tuple(sum(_HOURS[:hour]) * 3600 for hour in range(25))
_DRAWS = struct.Struct("<6I2I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The usage in a window, and the number of distinct users."""

    users: int
    products: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """Usage from `since_s` on is counted at only `percent`."""

    since_s: int
    percent: int


@dataclass(frozen=True, slots=True)
class _Day:
    """One day of one population: tests and their mean duration by product, and the active users."""

    counts: tuple[int, ...]
    mean_ms: tuple[int, ...]
    active: bytes  # the numbers of the users, in order
    users: int  # those of them who ran a test, as a bit mask


@dataclass(slots=True)
class _Tally:
    tests: list[int] = field(default_factory=lambda: [0] * len(PRODUCTS))
    duration_ms: list[int] = field(default_factory=lambda: [0] * len(PRODUCTS))
    users: int = 0


class Usage:
    """The usage of every possible org, derived from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._key = seed_key(seed)
        self._habit = lru_cache(maxsize=20_000)(self._draw_habit)
        self._day = lru_cache(maxsize=32_768)(self._draw_day)

    def totals(self, org: str, population: str, start_s: int, end_s: int, *, late: Late | None = None) -> Totals:
        """Return the usage of that population of the org in `[start_s, end_s)`."""
        tally = _Tally()
        of = Population(population)
        if late is None:
            self._add(tally, org, of, start_s, end_s, percent=100)
        else:
            self._add(tally, org, of, start_s, min(end_s, late.since_s), percent=100)
            self._add(tally, org, of, max(start_s, late.since_s), end_s, percent=late.percent)
        return Totals(
            users=tally.users.bit_count(),
            products={
                product: {"totalScreenshots": tests}
                if product == "smartui"
                else {"totalTests": tests, "totalDuration": duration}
                for product, tests, duration in zip(PRODUCTS, tally.tests, tally.duration_ms, strict=True)
            },
        )

    def _add(self, tally: _Tally, org: str, population: Population, start_s: int, end_s: int, *, percent: int) -> None:
        start_s = max(start_s, FIRST_DAY * DAY_S)
        while start_s < end_s:
            number, from_s = divmod(start_s, DAY_S)
            to_s = min(DAY_S, from_s + end_s - start_s)
            day = self._day(org, population, number)
            if day.users and to_s - from_s == DAY_S and percent == 100:
                for product, count in enumerate(day.counts):
                    tally.tests[product] += count
                    tally.duration_ms[product] += count * day.mean_ms[product]
                tally.users |= day.users
            elif day.users:
                _add_part(tally, day, from_s, to_s, percent)
            start_s += to_s - from_s

    def _draw_habit(self, org: str, population: Population) -> Habit:
        return habit(self.seed, org, population)

    def _draw_day(self, org: str, population: Population, number: int) -> _Day:
        of = self._habit(org, population)
        text = f"{org}\0{population}\0{number}".encode()
        bits = hashlib.blake2b(text, digest_size=64, key=self._key).digest()
        *noise, idle, who = _DRAWS.unpack_from(bits)
        years_permille = (number - FIRST_DAY) * 1000 // 365
        level = max(500, 1000 + of.growth_permille_a_year * years_permille // 1000)
        if _is_weekend(number):
            level = level * of.weekend_permille // 1000
        if idle % 1000 < of.idle_permille:
            level = 0
        counts, means = [], []
        for product, draw in zip(of.products, noise, strict=True):
            scatter = 600 + draw % 801  # 60 % to 140 % of the usual
            idle_now = (draw >> 16) % 1000 < product.idle_permille
            counts.append(0 if idle_now else product.weekday * level * scatter // 1_000_000)
            means.append(product.mean_ms * (900 + (draw >> 10) % 201) // 1000)
        active = _active_users(of, bits[_DRAWS.size :], weekend=_is_weekend(number)) or bytes((who % of.users,))
        users = 0
        for index, count in enumerate(counts):
            users |= _users_of(active, index, 0, count)
        return _Day(tuple(counts), tuple(means), active, users)


def _add_part(tally: _Tally, day: _Day, from_s: int, to_s: int, percent: int) -> None:
    before, until = _weight(from_s), _weight(to_s)
    for product, count in enumerate(day.counts):
        # `percent` is applied to the cumulative count of the day, so partial counts stay additive.
        first = count * before // _WEIGHT * percent // 100
        last = count * until // _WEIGHT * percent // 100
        if first != last:
            tally.tests[product] += last - first
            tally.duration_ms[product] += (last - first) * day.mean_ms[product]
            tally.users |= _users_of(day.active, product, first, last)


def _weight(second: int) -> int:
    hour, rest = divmod(second, 3600)
    return _BEFORE_HOUR[hour] + (_HOURS[hour] * rest if rest else 0)


def _users_of(active: bytes, product: int, first: int, last: int) -> int:
    """Return who ran the tests `[first, last)` of that product on that day, as a bit mask."""
    size = len(active)
    users = 0
    for test in range(first, min(last, first + size)):
        users |= 1 << active[(test + product * 7) % size]
    return users


def _active_users(of: Habit, bits: bytes, *, weekend: bool) -> bytes:
    half = len(bits) // 2
    one, other = int.from_bytes(bits[:half], "little"), int.from_bytes(bits[half:], "little")
    weekday = one | other if of.mostly_present else one
    mask = one & other if weekend else weekday
    return bytes(user for user in range(of.users) if mask >> user & 1)


def _is_weekend(day: int) -> bool:
    return (day + 3) % 7 >= 5  # 1970-01-01 was a Thursday
