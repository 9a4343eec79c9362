"""The page: from a report to HTML. Templates escape everything; the style and the charts are in the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from collector.adapters.report import calendar_chart, charts
from collector.adapters.report.charting import Spec, value_of
from collector.adapters.report.svg import svg_of
from collector.adapters.text import printable
from collector.core.budgets import LEVELS, BudgetStanding, percent_text
from collector.core.costs import rounded
from collector.core.grouping import By, Dimension, Sum
from collector.core.org_coverage import CoverageState
from collector.core.report import Line, Metric, Number, Report, Unknown, rounding
from collector.core.report_rows import amount_text as plain_amount
from collector.model import Population

WIDE, NARROW = 1040, 340  # pixels of a chart; the page shows the one that fits
HALF = 500
_MOVERS = 10
_UNKNOWN = 60  # rows
_CHARTS = 500  # of orgs, the largest: more make a page that few browsers like
_ROWS = 2000  # of a table
_REFUSED = {
    "refused_credential": "the API refuses the credential",
    "refused_not_admin": "the user is no admin",
    "refused_permission": "the user may not see usage",
}
_PEOPLE = {Population.ACCOUNT_USER.value: "human accounts", Population.SERVICE_USER.value: "service accounts"}
_A_CALENDAR = 14  # days: shorter periods need none
_UNITS = {By.DAY: "day", By.WEEK: "week", By.MONTH: "month"}
_WHY = {
    CoverageState.UNVERIFIED: "answered zero, long after the API may have deleted the data",
    CoverageState.IN_DOUBT: "in a file of a killed run, not recovered yet",
    CoverageState.PARTIAL: "answered in part",
    CoverageState.FAILED: "could not be fetched",
    CoverageState.REFUSED: "the API refuses the credential",
    CoverageState.MISSING: "not fetched yet",
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
    texts = _Texts(report)
    templates.filters |= {
        "why": why,
        "percent": percent_text,
        "name": printable,
        "number": texts.number,
        "duration": texts.duration,
        "change": texts.change,
        "dimension": dimension,
    }
    templates.globals |= {"count": counted, "amount": amount_text}
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
        charted=report.orgs[:_CHARTS],
        tables=_tables(report),
        people=_PEOPLE,
        unknown_shown=report.unknown[:_UNKNOWN],
        cost_notes=_cost_notes(report),
        levels=LEVELS,
        duration_name=texts.duration_name,
        other_metrics=[one for one in Metric if one is not metric and metric_known(report, one)],
        known=metric.of(report.total.now) is not None,
    )
    return text.encode("utf-8", "replace")


def amount_text(value: Fraction | None, one: BudgetStanding) -> str:
    """Return an amount of a budget; a question mark if it is not known."""
    text = plain_amount(value, one)
    return "?" if text is None else f"{Decimal(text):,}"


def metric_known(report: Report, metric: Metric) -> bool:
    """Return whether any number of a metric is known, other than 0."""
    return bool(metric.of(report.total.now))


def why(one: Unknown) -> str:
    """Return why windows are unknown, in words."""
    if one.reason is not None and one.reason.startswith("refused"):
        return _REFUSED.get(one.reason, "refused: " + one.reason.removeprefix("refused_").replace("_", " "))
    return _WHY.get(one.state, "known in part")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 day`, `1,000 days`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class _Texts:
    """Numbers as texts; amounts of money with the decimals of the prices."""

    report: Report

    def number(self, value: Number | None, sums: Sum | None = None) -> str:
        """Return a number; a question mark if none of the windows behind it is known, nothing if there is none."""
        if value is None:
            return "?" if sums is not None and 0 < sums.windows == sums.unknown else ""
        return f"{self._shown(value):,}"

    @property
    def duration_name(self) -> str:
        """Return what durations are called: in hours if the config says what the API counts."""
        return "Duration" if self.report.duration_unit is None else "Hours"

    def duration(self, sums: Sum) -> str:
        """Return a duration: in hours if that is known."""
        unit, value = self.report.duration_unit, sums.duration
        return self.number(
            value if unit is None or value is None else round(Fraction(value, unit.per_minute * 60)), sums
        )

    def change(self, line: Line, metric: Metric) -> str:
        """Return how a line changed, in percent."""
        found = line.change(metric)
        if found is None:
            return "new" if line.is_new and metric.of(line.now) else ""
        if found.ratio is None:
            return f"{self._shown(found.difference):+,}" if found.difference else "0"
        return f"{found.ratio:+.1%}".replace("-", "−")  # noqa: RUF001 - a minus

    def _shown(self, value: Number) -> int | Decimal:
        return rounded(value, self.report.prices.decimals) if isinstance(value, Fraction) else value


def dimension(value: object, one: Dimension) -> str:
    """Return the value of a dimension."""
    if value is None:
        return "(none)"
    if one.by is By.POPULATION:
        return _PEOPLE[str(value)]
    return f"{value:%Y-%m}" if one.by is By.MONTH and isinstance(value, date) else printable(str(value))


def _cost_notes(report: Report) -> Sequence[str]:
    """Return what the costs leave out."""
    cost = report.total.now.cost
    notes = []
    if cost.windows_unknown:
        notes.append(f"The cost of {counted(cost.windows_unknown, 'window')} is unknown, or known in part.")
    if cost.windows_not_priced:
        products = [printable(line.name) for line in report.of_products if line.now.cost.windows_not_priced]
        windows = counted(cost.windows_not_priced, "window")
        notes.append(f"{windows} have usage without a price: of {', '.join(products) or 'some products'}.")
    return notes


def _over_time(report: Report) -> _Chart | None:
    if not report.metric.of(report.total.now):
        return None
    about = f"{report.metric.value} in each {_UNITS[report.part]}, by product; the tables have the sums"
    wide, narrow = (charts.over_time(report, width) for width in (WIDE - 60, NARROW - 60))
    return _Chart(wide=_drawn(wide, about), narrow=_drawn(narrow, about))


def _shares(report: Report) -> _Chart | None:
    used = [line for line in report.of_products if report.metric.of(line.now)]
    if not used:
        return None
    about = f"share of each product in all {report.metric.value}; the table of products has the numbers"
    return _Chart(wide=_drawn(charts.shares(report, HALF), about), narrow=_drawn(charts.shares(report, NARROW), about))


def _movers(report: Report) -> _Chart | None:
    if not report.movers(_MOVERS):
        return None
    about = f"difference in {report.metric.value} of the orgs that changed most; the table of orgs has the numbers"
    wide, narrow = (charts.movers(report, _MOVERS, width) for width in (HALF, NARROW))
    return _Chart(wide=_drawn(wide, about), narrow=_drawn(narrow, about))


def _calendars(report: Report) -> Sequence[_Chart]:
    if not report.days or report.period.days < _A_CALENDAR:
        return []
    about = f"{report.metric.value} of each day; crosses and dots are days with unknown windows"
    return [
        _Chart(
            wide=_drawn(calendar_chart.calendar(report.days, period, report.metric, WIDE - 60), f"{about}; {period}")
        )
        for period in calendar_chart.years(report.period)
    ]


def _heats(report: Report) -> Sequence[tuple[str, str]]:
    """Return the legend of the calendar: each heat, and the largest number that it stands for."""
    bounds = calendar_chart.bounds_of(value_of(sums, report.metric) for sums in report.days.values())
    decimals = report.prices.decimals if report.metric is Metric.COST else 0
    return [(calendar_chart.heat_of(bound, bounds), f"up to {bound:,.{decimals}f}") for bound in bounds]


def _small(report: Report) -> Mapping[int, Markup]:
    """Return the small chart of each org, by its place among the orgs."""
    parts = report.period.parts(report.part)
    return {
        place: _drawn(charts.small(line, parts, report.metric), "")
        for place, line in enumerate(report.orgs[:_CHARTS])
        if report.metric.of(line.now) is not None
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table below the charts."""

    title: str
    by: Sequence[Dimension]
    lines: Sequence[Line]
    left_out: int = 0  # lines
    compares: bool = True
    rounding: Decimal | None = None  # what the rounded costs lack of their total, if there are any


def _tables(report: Report) -> Sequence[_Table]:
    found: list[tuple[Sequence[Dimension], Sequence[Line]]] = [(report.by, report.lines)] if report.by else []
    found.append(((Dimension(By.PRODUCT),), report.of_products))
    found.append(((Dimension(By.POPULATION),), report.populations))
    found += [((Dimension(By.LABEL, key),), lines) for key, lines in report.labels.items()]
    found.append(((Dimension(By.ORG),), report.orgs))
    return [
        _Table(
            title=f"By {', '.join(printable(one.label or one.by.value) for one in by)}",
            by=by,
            lines=lines[:_ROWS],
            left_out=max(0, len(lines) - _ROWS),
            compares=report.compares or lines is not report.lines,
            rounding=rounding(report, lines) if report.prices else None,
        )
        for by, lines in found
    ]


def _drawn(spec: Spec, about: str) -> Markup:
    return Markup(svg_of(spec, about))  # noqa: S704 - Vega escapes the texts in it
