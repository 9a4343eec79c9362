"""What all charts of a report have: colours and fonts, axes of days, and how a number is drawn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from collector.core.grouping import By, Sum
from collector.core.report import Metric

Spec = Mapping[str, Any]

_TEXT = 11
_FONT = "ui-sans-serif, system-ui, sans-serif"
_CONFIG = {
    "background": None,
    "aria": False,  # the page describes each chart, and has its numbers as a table
    "font": _FONT,
    "padding": 2,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--quiet)",
        "titleColor": "var(--quiet)",
        "labelFontSize": _TEXT,
        "titleFontSize": _TEXT,
        "titleFontWeight": "normal",
        "gridColor": "var(--hair)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "legend": {
        "labelColor": "var(--ink)",
        "titleColor": "var(--quiet)",
        "labelFontSize": _TEXT,
        "titleFontSize": _TEXT,
    },
    "text": {"fill": "var(--ink)", "fontSize": _TEXT, "font": _FONT},
}


def value_of(sums: Sum, metric: Metric) -> float:
    """Return the number of a sum as a chart draws it; 0 if it is not known."""
    return float(metric.of(sums) or 0)


def whole(spec: dict[str, Any]) -> Spec:
    """Return a specification with what all charts have."""
    return {"config": _CONFIG, **spec}


def moment(day: date) -> dict[str, Any]:
    """Return the beginning of a day, in UTC, as Vega-Lite has it."""
    return {"year": day.year, "month": day.month, "date": day.day, "utc": True}


def dated(days: Sequence[date], length: By) -> dict[str, Any]:
    """Return an axis that names these days, at the place where each begins."""
    form = "%b %Y" if length is By.MONTH and any(day.day == 1 for day in days) else "%-d %b"
    return {
        "grid": False,
        "values": [moment(day) for day in days],
        "labelExpr": f"utcFormat(datum.value, '{form}')",
        "labelAlign": "left",
        "labelOverlap": "parity",
    }


def iso(day: date) -> str:
    """Return the beginning of a day, in UTC, as data has it."""
    return f"{day.isoformat()}T00:00:00Z"
