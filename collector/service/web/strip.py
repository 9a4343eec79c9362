"""Days as a strip: a few paths of one colour and one shape each, and the same in words.

Each state has a shape as well as a colour: complete fills the height, unverified its lowest quarter, in doubt its
upper half, partial its lower half; failed is broken in two, refused a band, missing hollow, not due a line. Days in a
row with one state are one piece of a path, so that a healthy quarter is a hundred bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from collector.core.org_coverage import COUNTED, CoverageState
from collector.service.web.text import dates, plural

HEIGHT = 12
MEANING = {state: state.value.replace("_", " ") for state in CoverageState} | {CoverageState.NOT_DUE: "not due yet"}
_SEGMENTS_SHOWN = 12
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Strip:
    """What is drawn, by state, and what it says."""

    days: int
    paths: Sequence[tuple[CoverageState, str]]
    text: str


def strip(days: Sequence[CoverageState], last_day: date) -> Strip:
    """Return the strip of days that end with `last_day`."""
    drawn: dict[CoverageState, list[str]] = {}
    at = 0
    for state, run in groupby(days):
        length = sum(1 for _ in run)
        if state is not CoverageState.NOT_WANTED:
            drawn.setdefault(state, []).append(shape(state, at, length))
        at += length
    return Strip(len(days), [(state, "".join(paths)) for state, paths in drawn.items()], in_words(days, last_day))


def shape(state: CoverageState, at: int, length: int, *, edge: float = 0.3) -> str:
    """Return the piece of a path that is a run of days; `edge` is how thick a hollow one's sides are."""
    match state:
        case CoverageState.COMPLETE:
            return _box(at, 0, length, HEIGHT)
        case CoverageState.UNVERIFIED:
            return _box(at, 9, length, 3)
        case CoverageState.IN_DOUBT:
            return _box(at, 0, length, 6)
        case CoverageState.PARTIAL:
            return _box(at, 6, length, 6)
        case CoverageState.FAILED:
            return _box(at, 0, length, 4) + _box(at, 8, length, 4)
        case CoverageState.REFUSED:
            return _box(at, 4, length, 4)
        case CoverageState.MISSING:
            return _box(at, 0, length, HEIGHT) + _hole(at, length, edge)
        case CoverageState.NOT_DUE:
            return _box(at, 5.5, length, 1)
        case _:
            return ""


def in_words(days: Sequence[CoverageState], last_day: date) -> str:
    """Return `2026-06-01 to 06-03 missing; …`, oldest first; where states change often, totals and the newest."""
    first = last_day - (len(days) - 1) * _ONE_DAY
    segments, at = [], 0
    for state, run in groupby(days):
        length = sum(1 for _ in run)
        if state is not CoverageState.NOT_WANTED:
            start = first + at * _ONE_DAY
            segments.append(f"{dates(start, start + (length - 1) * _ONE_DAY)} {MEANING[state]}")
        at += length
    if not segments:
        return "no day is wanted"
    if len(segments) <= _SEGMENTS_SHOWN:
        return "; ".join(segments)
    counts = Counter(days)
    totals = ", ".join(f"{plural(counts[state], 'day')} {MEANING[state]}" for state in COUNTED if counts[state])
    return f"{totals}; the newest: {'; '.join(segments[-_SEGMENTS_SHOWN:])}"


def _box(x: int, y: float, width: int, height: float) -> str:
    return f"M{x} {y:g}h{width}v{height:g}h-{width}z"


def _hole(x: int, width: int, edge: float) -> str:
    """Return the inside of a hollow run, wound the other way round so that it stays empty."""
    return f"M{x + edge:g} 2v8h{width - 2 * edge:g}v-8z"


def axis(last_day: date, days: int = 90) -> list[tuple[float, str]]:
    """Return where on a strip months begin, in percent, and their names."""
    first = last_day - timedelta(days=days - 1)
    all_days = [first + timedelta(days=n) for n in range(days)]
    begins = []
    for _, month in groupby(enumerate(all_days), key=lambda item: (item[1].year, item[1].month)):
        n, day = next(month)
        if n <= days - 7:  # a name has room
            begins.append((round(100 * n / days, 2), f"{day:%b}"))
    if len(begins) > 1 and begins[1][0] < 7:
        del begins[0]
    return begins
