"""Usage as a line of steps, a step per day; a day that isn't known is a gap, never a zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from collector.service.web.text import plural

HEIGHT = 20


@dataclass(frozen=True, slots=True)
class Spark:
    """What is drawn: `area` closed at the bottom, `line` along its top. `newest` is the newest known number."""

    days: int
    area: str
    line: str
    most: int
    newest: int | None
    text: str


def spark(tests: Sequence[int | None], last_day: date, *, height: int = HEIGHT) -> Spark:
    """Return the sparkline of the tests of days that end with `last_day`."""
    known = [(n, value) for n, value in enumerate(tests) if value is not None]
    if not known:
        return Spark(len(tests), "", "", 0, None, "no usage is known")
    most = max(value for _, value in known)
    areas, lines = [], []
    for is_gap, run in groupby(enumerate(tests), key=lambda item: item[1] is None):
        if is_gap:
            continue
        steps = [(n, height - 1 - (value or 0) * (height - 2) / (most or 1)) for n, value in run]
        line = "".join(f"V{y:.3g}H{n + 1}" for n, y in steps)
        first, y = steps[0]
        lines.append(f"M{first} {y:.3g}{line}")
        areas.append(f"M{first} {height}{line}V{height}z")
    n, newest = known[-1]
    day = last_day - timedelta(days=len(tests) - 1 - n)
    text = f"{plural(newest, 'test')} on {day}; at most {most:,} a day, of {plural(len(known), 'known day')}"
    return Spark(len(tests), "".join(areas), "".join(lines), most, newest, text)
