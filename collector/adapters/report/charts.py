"""The charts of a report, as Vega-Lite specifications. Pure: `svg` draws them.

Colours are the page's CSS variables, so one drawing is right in light, dark and print. No chart says anything by colour
alone: series have names beside them, and unknown windows a shape. Each chart has a width in pixels; the page shows the
one that fits the screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from collector.adapters.report.charting import Spec, dated, iso, moment, value_of, whole
from collector.adapters.text import printable
from collector.core.costs import rounded
from collector.core.grouping import By, Sum
from collector.core.periods import Period
from collector.core.report import Change, Line, Metric, Report

SERIES = 7  # products that have a colour of their own; the others are summed
_OTHERS = "others"
_DAY = timedelta(days=1)
_SMALL, _HIGH = 220, 50  # pixels
_SHORT = "replace(format(datum.value, '~s'), 'G', 'B')"  # 1.2M, 3B
_NO_AXIS = {"axis": None}


def over_time(report: Report, width: int) -> Spec:
    """Return stacked bars of the products in each part of the period, over a strip of the unknown windows."""
    products = [line for line in report.of_products if report.metric.of(line.now)]
    names = [printable(line.name) for line in products[:SERIES]]
    bars: list[dict[str, Any]] = []
    parts = report.period.parts(report.part)
    for part in parts:
        below = 0.0
        for name, value in _shares(products, part, report.metric):
            bars.append(_span(part, report) | {"product": name, "low": below, "high": (below := below + value)})
    if len(products) > SERIES:
        names.append(_OTHERS)
    strip = [_span(part, report) | _known(report.total.parts.get(part)) for part in parts]
    scale = {"type": "utc", "domain": [moment(report.period.first), moment(report.period.last + _DAY)], "nice": False}
    time = {"field": "first", "type": "temporal", "scale": scale, "title": None}
    ticks = _ticks(parts, report.period, max(3, width // 80))
    end = {"field": "end"}
    stacked = {
        "width": width,
        "height": 220,
        "data": {"values": bars},
        "mark": {"type": "rect", "stroke": "var(--paper)", "strokeWidth": 0.5},
        "encoding": {
            "x": time | {"axis": {"grid": False, "labels": False, "ticks": False, "domain": False}},
            "x2": end,
            "y": {
                "field": "low",
                "type": "quantitative",
                "title": None,
                "axis": {"labelExpr": _SHORT, "tickCount": 5, "domain": False, "ticks": False},
            },
            "y2": {"field": "high"},
            "color": _series(names, width),
        },
    }
    unknown = {
        "width": width,
        "height": 14,
        "data": {"values": strip},
        "layer": [
            {
                "mark": {"type": "rect", "fill": "var(--bad)", "strokeWidth": 0},
                "transform": [{"filter": "datum.unknown > 0"}],
                "encoding": {
                    "x": time | {"axis": dated(ticks, report.part)},
                    "x2": end,
                    "y": {"field": "ratio", "type": "quantitative", "scale": {"domain": [0, 1]}, **_NO_AXIS},
                    "y2": {"datum": 0},
                },
            },
        ],
    }
    return whole({"vconcat": [stacked, unknown], "spacing": 4, "resolve": {"scale": {"x": "shared"}}})


def shares(report: Report, width: int) -> Spec:
    """Return a bar for each product: its share of the whole."""
    lines = [line for line in report.of_products if report.metric.of(line.now)]
    whole = sum(value_of(line.now, report.metric) for line in lines)
    values = [
        {"name": printable(line.name), "value": value, "text": f"{value / whole:.1%}", "colour": _colour(place)}
        for place, line in enumerate(lines)
        for value in [value_of(line.now, report.metric)]
    ]
    return _bars(values, width)


def movers(report: Report, most: int, width: int) -> Spec:
    """Return a bar for each org that changed: how much, to the right for more and to the left for less."""
    values = [
        {
            "name": printable(line.name),
            "value": float(change.difference),
            "text": difference_text(change, report),
            "colour": "var(--s0)" if change.difference > 0 else "var(--s1)",
        }
        for line in report.movers(most)
        if (change := line.change(report.metric))
    ]
    return _bars(values, width)


def difference_text(change: Change, report: Report) -> str:
    """Return a difference with its sign, and in percent."""
    value = change.difference
    shown = rounded(value, report.prices.decimals) if isinstance(value, Fraction) else value
    return f"{shown:+,}" + (f" ({change.ratio:+.0%})" if change.ratio is not None else "")


def small(line: Line, parts: Sequence[date], metric: Metric) -> Spec:
    """Return a small chart of one org: a step for each part, none where nothing is known; ticks: unknown windows.

    The steps are one shape of whole pixels, so that hundreds of charts make no large page. What is not zero is seen.
    """
    pixels = max(2, _SMALL // len(parts))  # of a part
    most = max((value_of(sums, metric) for sums in line.parts.values()), default=0.0) or 1.0
    steps: list[dict[str, Any]] = []
    ticks: list[dict[str, Any]] = []
    for place, part in enumerate(parts):
        sums = line.parts.get(part, Sum())
        value = None if metric.of(sums) is None else value_of(sums, metric)
        high = value and max(1, round(_HIGH * value / most))
        # Two points at the same place would have no order: a step ends a pixel before the next.
        steps += [{"x": x, "y": high} for x in (place * pixels, (place + 1) * pixels - 1)]
        if sums.unknown:
            ticks.append({"x": (place + 0.5) * pixels})
    width = len(parts) * pixels
    x = {"field": "x", "type": "quantitative", "scale": {"domain": [0, width], "nice": False}, **_NO_AXIS}
    y = {"field": "y", "type": "quantitative", "scale": {"domain": [0, _HIGH]}, **_NO_AXIS}
    layers: list[dict[str, Any]] = [
        {"data": {"values": steps}, "mark": {"type": "area", "fill": "var(--use)"}, "encoding": {"x": x, "y": y}}
    ]
    if ticks:
        mark = {"type": "tick", "orient": "vertical", "color": "var(--bad)", "thickness": 1.5, "height": 7}
        layers.append({"data": {"values": ticks}, "mark": mark, "encoding": {"x": x, "y": {"value": 47}}})
    return whole({"width": width, "height": _HIGH, "layer": layers})


def _bars(values: Sequence[Mapping[str, Any]], width: int) -> Spec:
    names = [str(value["name"]) for value in values]
    room = min(width // 3, 10 + 7 * max(map(len, names), default=0))
    plot = max(80, width - room - 9 * max(map(len, (str(value["text"]) for value in values)), default=0))
    y = {
        "field": "name",
        "type": "nominal",
        "sort": names,
        "title": None,
        "axis": {"domain": False, "ticks": False, "labelLimit": room, "labelColor": "var(--ink)"},
    }
    numbers = [float(value["value"]) for value in values]
    x = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [min(0.0, *numbers), max(0.0, *numbers)], "nice": False},
        "axis": None,
    }
    return whole(
        {
            "width": plot,
            "height": {"step": 22},
            "data": {"values": list(values)},
            "encoding": {"y": y},
            "layer": [
                {
                    "mark": {"type": "bar", "height": 14},
                    "encoding": {
                        "x": x,
                        "fill": {"field": "colour", "type": "nominal", "scale": None, "legend": None},
                    },
                },
                {
                    "transform": [{"calculate": "max(datum.value, 0)", "as": "end"}],
                    "mark": {"type": "text", "align": "left", "dx": 4},
                    "encoding": {"x": {"field": "end", "type": "quantitative"}, "text": {"field": "text"}},
                },
            ],
        }
    )


def _shares(products: Sequence[Line], part: date, metric: Metric) -> list[tuple[str, float]]:
    values = [(printable(line.name), value_of(line.parts.get(part, Sum()), metric)) for line in products]
    rest = sum(value for _, value in values[SERIES:])
    return [one for one in [*values[:SERIES], (_OTHERS, rest)] if one[1]]


def _series(names: Sequence[str], width: int) -> dict[str, Any]:
    colours = [_colour(place) for place in range(len(names))]
    columns = max(1, width // 130)
    return {
        "field": "product",
        "type": "nominal",
        "scale": {"domain": list(names), "range": colours},
        "legend": {"orient": "top", "title": None, "columns": columns, "symbolType": "square", "labelLimit": 110},
    }


def _colour(place: int) -> str:
    return f"var(--s{min(place, SERIES)})"


def _span(part: date, report: Report) -> dict[str, Any]:
    last = _end_of(part, report.part)
    return {"first": iso(max(part, report.period.first)), "end": iso(min(last, report.period.last) + _DAY)}


def _end_of(part: date, length: By) -> date:
    match length:
        case By.MONTH:
            return (part.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY
        case By.WEEK:
            return part + 6 * _DAY
        case _:
            return part


def _ticks(parts: Sequence[date], period: Period, most: int) -> list[date]:
    """Return the beginnings of parts that an axis names: as many as there is room for."""
    step = -(-len(parts) // most)
    return [max(part, period.first) for part in parts[::step]]


def _known(sums: Sum | None) -> dict[str, Any]:
    unknown, windows = (sums.unknown, sums.windows) if sums else (0, 0)
    return {"unknown": unknown, "ratio": max(0.35, unknown / windows) if unknown else 0}
