"""The requests of `check --deep`, and what their answers show about open questions of the API's documents.

Two questions are open: whether the second in `to` is part of a range, and whether parts of a
range add up to the whole. One past day, fetched whole and in parts, answers both: if `to` is read
the other way, each cut loses a second or counts it twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from collector.core.finding import Finding
from collector.core.windows import Calendar
from collector.model import Granularity, Org, Population, Slice, Window

PARTS = 24
_SATURDAY = 5
DAYS_TRIED = 7  # the last days that are due, to find one with usage


class Additivity(StrEnum):
    """Whether the parts of a day add up to the whole."""

    ADDS_UP = "adds up"
    OTHER_END = "adds up only if `to` is read the other way"
    DIFFERS = "does not add up"
    NO_USAGE = "no usage on the days tried"
    UNKNOWN = "could not be asked"


def last_due_days(org: Org, *, now: datetime, settle: timedelta) -> list[Window]:
    """Return the newest whole days of an org's calendar that are due: working days first, then newest first."""
    calendar = Calendar(org.zone, Granularity.DAY)
    end = calendar.floor(now - settle)
    days = []
    for _ in range(DAYS_TRIED):
        start = calendar.floor(end - timedelta(seconds=1))
        days.append(Window(start, end))
        end = start
    return sorted(days, key=lambda day: day.start.astimezone(org.zone.tz).weekday() >= _SATURDAY)


def parts_of(day: Window) -> list[Window]:
    """Return a day in parts of an hour or so, cut at full seconds."""
    seconds = int(day.elapsed.total_seconds())
    cuts = [day.start + timedelta(seconds=seconds * n // PARTS) for n in range(PARTS + 1)]
    return [Window(start, end) for start, end in pairwise(cuts)]


def whole_and_parts(org: Org, population: Population, day: Window) -> list[Slice]:
    """Return the slices that are needed to see whether parts add up: the whole first."""
    return [Slice(org, population, window) for window in (day, *parts_of(day))]


def totals(findings: Iterable[Finding]) -> Counter[tuple[str, str]]:
    """Return the sums of all counts, by product and metric; users are distinct and never summed."""
    sums: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        for product, usage in finding.products.items():
            if usage is not None:
                sums[product, "tests"] += usage.total_tests or 0
                sums[product, "duration"] += usage.total_duration or 0
                sums[product, "screenshots"] += usage.total_screenshots or 0
                for metric, value in usage.extra.items():
                    if isinstance(value, int) and not isinstance(value, bool):
                        sums[product, metric] += value
    return sums


def additivity(whole: Finding | None, parts: Sequence[Finding | None]) -> Additivity:
    """Return whether the parts of a day add up to the whole."""
    known = [part for part in parts if part is not None and part.complete]
    if whole is None or not whole.complete or len(known) < len(parts):
        return Additivity.UNKNOWN
    sums, sums_of_parts = totals([whole]), totals(known)
    if not any(sums.values()) and not any(sums_of_parts.values()):
        return Additivity.NO_USAGE
    return Additivity.ADDS_UP if sums == sums_of_parts else Additivity.DIFFERS


def same_totals(findings: Iterable[Finding | None]) -> bool:
    """Return whether all populations have the same totals above zero: the counts may cover all users."""
    sums = [totals([finding]) for finding in findings if finding is not None and finding.complete]
    return len(sums) > 1 and any(sums[0].values()) and all(other == sums[0] for other in sums)
