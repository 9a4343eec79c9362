"""Sums of what the simulated API knows to be true, made without any of the code under test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from collector.model import Zone
from tests.support.commands import SimulatedApi

Sums = dict[tuple[str, ...], list[int | None]]
NUMBERS = {"totalTests": 0, "totalDuration": 1, "totalScreenshots": 2}


def days_of(zone: str, first: date, last: date) -> Iterable[tuple[date, int, int]]:
    """Each day in a zone, with its start and its end in seconds."""
    tz = Zone.parse(zone).tz
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        start, end = (datetime(one.year, one.month, one.day, tzinfo=tz) for one in (day, day + timedelta(days=1)))
        yield day, int(start.timestamp()), int(end.timestamp())


def sums_by_month_cost_center_product(
    api: SimulatedApi, orgs: Sequence[Mapping[str, Any]], first: date, last: date, *, without: Iterable[tuple[str, ...]]
) -> Sums:
    """The truth of these days; `without` are (org, population, day) that are unknown."""
    sums: Sums = defaultdict(lambda: [None, None, None])
    left_out = {*without}
    for org in orgs:
        for population in ("account-user", "service-user"):
            for day, start, end in days_of(org["timezone"], first, last):
                products = api.truth(org["name"], population, start, end)["products"]
                for product, numbers in products.items():
                    of = sums[f"{day:%Y-%m}-01", org["labels"]["cost_center"], product]
                    if (org["name"], population, str(day)) in left_out:
                        continue
                    for name, place in NUMBERS.items():
                        if name in numbers:
                            of[place] = (of[place] or 0) + numbers[name]
    return sums
