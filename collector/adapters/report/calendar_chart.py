"""The calendar of a report: a square for each day, by weeks and weekdays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise

from collector.adapters.report.charting import Spec, dated, iso, value_of, whole
from collector.core.grouping import By, Sum
from collector.core.periods import Period
from collector.core.report import Metric

_HEATS = 5
_ROW = 53 * 7  # days in a row
_DAY = timedelta(days=1)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def calendar(days: Mapping[date, Sum], period: Period, metric: Metric, width: int) -> Spec:
    """Return a square for each day of a period: the darker, the more; unknown windows as a cross, or as a dot."""
    known = {day: value_of(sums, metric) for day, sums in days.items()}
    bounds = bounds_of(known.values())
    values = []
    for day in period.dates():
        sums = days.get(day)
        values.append(
            {
                "week": iso(day - timedelta(days=day.weekday())),
                "end": iso(day - timedelta(days=day.weekday() - 7)),
                "weekday": _WEEKDAYS[day.weekday()],
                "heat": "none" if (shape := _shape(sums)) is None or shape == "all" else heat_of(known[day], bounds),
                "unknown": shape or "",
                "share": sums.unknown / sums.windows if sums and sums.windows else 0,
            }
        )
    weeks = len({value["week"] for value in values})
    heats = ["none", *(str(n) for n in range(_HEATS + 1))]
    cell = max(9, min(24, (width - 40) // max(1, period.days // 7 + 2)))
    x = {
        "field": "week",
        "type": "temporal",
        "scale": {"type": "utc"},
        "title": None,
        "axis": dated(_month_starts(period), By.MONTH) | {"domain": False},
    }
    y = {
        "field": "weekday",
        "type": "ordinal",
        "sort": list(_WEEKDAYS),
        "title": None,
        "axis": {"domain": False, "ticks": False, "grid": False},
    }
    colours = ["none", "var(--zero)", *(f"var(--h{n})" for n in range(1, _HEATS + 1))]
    return whole(
        {
            "width": weeks * cell,
            "height": 7 * cell,
            "data": {"values": values},
            "layer": [
                {
                    "mark": {"type": "rect", "stroke": "var(--paper)", "strokeWidth": 1.5},
                    "encoding": {
                        "x": x,
                        "x2": {"field": "end"},
                        "y": y,
                        "color": {
                            "field": "heat",
                            "type": "nominal",
                            "legend": None,
                            "scale": {"domain": heats, "range": colours},
                        },
                    },
                },
                {
                    "transform": [
                        {"filter": "datum.unknown != ''"},
                        {"calculate": "(time(datum.week) + time(datum.end)) / 2", "as": "middle"},
                    ],
                    "mark": {"type": "point", "filled": True, "color": "var(--bad)", "opacity": 1},
                    "encoding": {
                        "x": {"field": "middle", "type": "temporal", "scale": {"type": "utc"}},
                        "y": y,
                        "size": {
                            "field": "share",
                            "type": "quantitative",
                            "legend": None,
                            "scale": {"domain": [0, 1], "range": [cell * cell / 24, cell * cell / 3]},
                        },
                        "shape": {
                            "field": "unknown",
                            "type": "nominal",
                            "legend": None,
                            "scale": {"domain": ["all", "some"], "range": ["cross", "circle"]},
                        },
                    },
                },
            ],
        }
    )


def bounds_of(values: Iterable[float]) -> list[float]:
    """Return the largest number of each heat: fifths of the numbers that are not zero, each about as often."""
    ranked = sorted(value for value in values if value)
    if not ranked:
        return []
    return sorted({ranked[min(len(ranked) - 1, len(ranked) * n // _HEATS)] for n in range(1, _HEATS + 1)})


def heat_of(value: float, bounds: Sequence[float]) -> str:
    """Return the heat of a number: 0 for zero, else from 1 to 5."""
    if not value:
        return "0"
    place = next((place for place, bound in enumerate(bounds) if value <= bound), len(bounds) - 1)
    return str(place + 1 + _HEATS - len(bounds))


def _month_starts(period: Period) -> list[date]:
    found = [day for day in period.dates() if day.day == 1]
    return found if found and len(found) < 14 else found[:: max(1, len(found) // 12)] or [period.first]


def _shape(sums: Sum | None) -> str | None:
    """Return the mark of a day: of which all windows are unknown, some, or none; None if it has no window."""
    if sums is None or not sums.unknown:
        return None if sums is None else ""
    return "all" if sums.unknown == sums.windows else "some"


def years(period: Period) -> list[Period]:
    """Return a period divided where a year ends, unless it is no longer than one: a calendar shows that in a row."""
    if period.days <= _ROW:
        return [period]
    ends = [date(year, 12, 31) for year in range(period.first.year, period.last.year)]
    starts = [period.first - _DAY, *ends, period.last]
    return [Period(before + _DAY, last) for before, last in pairwise(starts)]
