"""The page: from a report to HTML. Templates escape everything; the style and the charts are in the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from collector.adapters.report import charts
from collector.adapters.report.svg import svg_of
from collector.adapters.text import printable
from collector.core.grouping import By, Dimension, Sum
from collector.core.org_coverage import CoverageState
from collector.core.report import Line, Metric, Report

WIDE, NARROW = 1040, 340  # pixels of a chart; the page shows the one that fits
HALF = 500
_MOVERS = 10
_UNKNOWN = 60  # rows
_UNITS = {By.DAY: "day", By.WEEK: "week", By.MONTH: "month"}
_WHY = {
    CoverageState.UNVERIFIED: "answered zero, long after the API may have deleted the data",
    CoverageState.IN_DOUBT: "in a file of a killed run, not recovered yet",
    CoverageState.PARTIAL: "answered in part",
    CoverageState.FAILED: "could not be fetched",
    CoverageState.REFUSED: "the credential is refused",
    CoverageState.MISSING: "never fetched",
    CoverageState.NOT_DUE: "ended, and not due yet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chart:
    """A chart in two widths; without a narrow one, one that fits everywhere."""

    wide: Markup
    narrow: Markup | None = None


def page_of(report: Report) -> bytes:
    """Return the page of a report. Raises MissingExtraError if what draws the charts is missing."""
    templates = Environment(
        loader=PackageLoader(__package__ or "", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"name": printable, "number": number, "change": change, "dimension": dimension}
    templates.globals |= {"count": counted}
    metric = report.metric
    text = templates.get_template(
        "report.html"
    ).render(
        report=report,
        style=Markup(resources.files(__package__ or "").joinpath("report.css").read_text()),  # noqa: S704 - our own
        metric=metric,
        unit=_UNITS[report.part],
        over_time=_over_time(report),
        shares=_shares(report),
        movers=_movers(report),
        calendars=_calendars(report),
        heats=_heats(report),
        small=_small(report),
        tables=_tables(report),
        why=_WHY,
        unknown_shown=report.unknown[:_UNKNOWN],
        last_change=report.movers(_MOVERS),
        known=metric.of(report.total.now) is not None,
    )
    return text.encode("utf-8", "replace")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 day`, `1,000 days`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number(value: int | None, sums: Sum | None = None) -> str:
    """Return a number; a question mark if none of the windows behind it is known, nothing if there is none."""
    if value is None:
        return "?" if sums is not None and 0 < sums.windows == sums.unknown else ""
    return f"{value:,}"


def change(line: Line, metric: Metric) -> str:
    """Return how a line changed, in percent."""
    found = line.change(metric)
    if found is None:
        return "new" if line.is_new and metric.of(line.now) else ""
    if found.ratio is None:
        return f"{found.difference:+,}" if found.difference else "0"
    return f"{found.ratio:+.1%}".replace("-", "−")  # noqa: RUF001 - a minus


def dimension(value: object, one: Dimension) -> str:
    """Return the value of a dimension."""
    if value is None:
        return "(none)"
    return f"{value:%Y-%m}" if one.by is By.MONTH and isinstance(value, date) else printable(str(value))


def _over_time(report: Report) -> _Chart | None:
    if not report.total.now.windows:
        return None
    values = [(part, report.metric.of(sums) or 0) for part, sums in report.total.parts.items()]
    most = max(values, key=lambda one: one[1], default=(report.period.first, 0))
    about = f"{report.metric.value} in each {_UNITS[report.part]}, by product; most from {most[0]} on: {most[1]:,}"
    wide, narrow = (charts.over_time(report, width) for width in (WIDE - 60, NARROW - 60))
    return _Chart(wide=_drawn(wide, about), narrow=_drawn(narrow, about))


def _shares(report: Report) -> _Chart | None:
    used = [line for line in report.of_products if report.metric.of(line.now)]
    if not used:
        return None
    about = f"share of each product in all {report.metric.value}; the table of products has the numbers"
    return _Chart(wide=_drawn(charts.shares(report, HALF), about), narrow=_drawn(charts.shares(report, NARROW), about))


def _movers(report: Report) -> _Chart | None:
    found = report.movers(_MOVERS)
    if not found:
        return None
    about = f"difference in {report.metric.value} of the orgs that changed most; the table of orgs has the numbers"
    wide, narrow = (charts.movers(found, report.metric, width) for width in (HALF, NARROW))
    return _Chart(wide=_drawn(wide, about), narrow=_drawn(narrow, about))


def _calendars(report: Report) -> Sequence[tuple[str, _Chart]]:
    if not report.days:
        return []
    found = []
    for period in charts.years(report.period):
        about = f"{report.metric.value} of each day, {period}; crosses and dots are days with unknown windows"
        wide = _drawn(charts.calendar(report.days, period, report.metric, WIDE - 60), about)
        found.append((str(period), _Chart(wide=wide)))
    return found


def _heats(report: Report) -> Sequence[tuple[int, str]]:
    """Return the legend of the calendar: each heat, and the numbers that it stands for."""
    bounds = charts.bounds_of(report.metric.of(sums) or 0 for sums in report.days.values())
    below = [0, *bounds]
    return [
        (int(charts.heat_of(high, bounds)), f"{low + 1:,} to {high:,}")
        for low, high in zip(below, bounds, strict=False)
    ]


def _small(report: Report) -> Mapping[int, Markup]:
    """Return the small chart of each org, by its place among the orgs."""
    parts = report.period.parts(report.part)
    return {
        place: _drawn(charts.small(line, parts, report.metric), "")
        for place, line in enumerate(report.orgs)
        if report.metric.of(line.now) is not None
    }


def _tables(report: Report) -> Sequence[tuple[str, Sequence[Dimension], Sequence[Line], bool]]:
    """Return the tables below the charts: a title, what its lines are by, the lines, and whether they have changes."""
    found: list[tuple[str, Sequence[Dimension], Sequence[Line], bool]] = []
    if report.by:
        names = ", ".join(one.label or one.by.value for one in report.by)
        found.append((f"By {names}", report.by, report.lines, report.compares))
    found.append(("By product", (Dimension(By.PRODUCT),), report.of_products, True))
    found.append(("By population", (Dimension(By.POPULATION),), report.populations, True))
    for key, lines in report.labels.items():
        found.append((f"By {printable(key)}", (Dimension(By.LABEL, key),), lines, True))
    found.append(("By org", (Dimension(By.ORG),), report.orgs, True))
    return found


def _drawn(spec: charts.Spec, about: str) -> Markup:
    return Markup(svg_of(spec, about))  # noqa: S704 - Vega escapes the texts in it
