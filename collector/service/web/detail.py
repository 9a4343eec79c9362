"""One org in full: its calendar day by day, its gaps and how to fill them, its newest usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from collector.core import anomalies
from collector.core.org_coverage import (
    COUNTED,
    AnomalySpan,
    CoverageState,
    CredentialStanding,
    OrgCoverage,
    PopulationCoverage,
)
from collector.model import Population, ProductUsage
from collector.service.view import Observed
from collector.service.web.choice import Choice
from collector.service.web.rows import PEOPLE, Row, in_doubt_command, row
from collector.service.web.spark import Spark, spark
from collector.service.web.strip import MEANING, axis, in_words
from collector.service.web.text import When, lag, maybe_when, name_text, window_text

_CHART_HEIGHT = 60
_WEEK = 7
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cell:
    """A day in the calendar: its column (week) and line (weekday), and what it says."""

    week: int
    weekday: int
    state: CoverageState
    text: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day in the table."""

    day: date
    state: str
    tests: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationDetail:
    """One population."""

    population: Population
    people: str
    counts: Sequence[tuple[CoverageState, int]]
    windows: int
    incomplete: int
    unverified: int
    lag: str
    last_success: When | None
    newest_complete: When | None
    newest_due: When | None
    oldest_usage: str | None
    cells: Sequence[Cell]
    weeks: int
    months: Sequence[tuple[int, str]]  # the week that a month begins in, and its name
    summary: str
    chart: Spark
    gaps: Sequence[tuple[CoverageState, str]]
    gaps_left_out: int
    anomalies: Sequence[tuple[str, str, str]]  # the anomaly, its meaning with the products, and when
    anomalies_left_out: int
    reasons: Sequence[tuple[str, int]]
    usage: Sequence[tuple[str, ProductUsage]]
    users: int | None
    days: Sequence[Day]  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """An org."""

    row: Row
    standing: CredentialStanding
    timezone: str
    granularity: str
    wanted: Sequence[str]
    never_wanted: Sequence[str]  # what lies between
    axis: Sequence[tuple[float, str]]
    populations: Sequence[PopulationDetail]
    in_doubt: str | None  # the command that names the files


def detail(org: OrgCoverage, seen: Observed, *, root: str, now: datetime) -> Detail:
    """Return an org in full."""
    return Detail(
        row=row(org, seen.invocation, Choice(), root=root, now=now),
        standing=org.credential.standing,
        timezone=org.timezone,
        granularity=org.granularity.value,
        wanted=[window_text(span, org.timezone, org.granularity) for span in org.wanted],
        never_wanted=[window_text(span, org.timezone, org.granularity) for span in org.never_wanted],
        axis=axis(org.last_day),
        populations=[_population(org, population, now) for population in org.populations],
        in_doubt=in_doubt_command([org], seen.invocation),
    )


def _population(org: OrgCoverage, population: PopulationCoverage, now: datetime) -> PopulationDetail:
    def at(instant: datetime | None) -> When | None:
        return maybe_when(instant, now=now, zone=org.timezone)

    first = org.last_day - (len(population.days) - 1) * _ONE_DAY
    days = [first + n * _ONE_DAY for n in range(len(population.days))]
    cells, months = _calendar(days, population)
    counts = [(state, population.count(state)) for state in COUNTED]
    oldest = at(population.oldest_usage.start) if population.oldest_usage else None
    return PopulationDetail(
        population=population.population,
        people=PEOPLE[population.population],
        counts=[(state, count) for state, count in counts if count],
        windows=population.windows,
        incomplete=population.incomplete,
        unverified=population.count(CoverageState.UNVERIFIED),
        lag=lag(population.lag_s),
        last_success=at(population.last_success),
        newest_complete=at(population.newest_complete),
        newest_due=at(population.newest_due),
        oldest_usage=oldest.iso[:10] if oldest else None,
        cells=cells,
        weeks=cells[-1].week + 1 if cells else 0,
        months=months,
        summary=in_words(population.days, org.last_day),
        chart=spark(population.tests, org.last_day, height=_CHART_HEIGHT),
        gaps=[(gap.state, window_text(gap.window, org.timezone, org.granularity)) for gap in reversed(population.gaps)],
        gaps_left_out=population.gaps_left_out,
        anomalies=[
            (one.anomaly.value, _meaning(one), window_text(one.window, org.timezone, org.granularity))
            for one in reversed(population.anomalies)
        ],
        anomalies_left_out=population.anomalies_left_out,
        reasons=sorted(_codes(population).items(), key=lambda item: (-item[1], item[0])),
        usage=[(name_text(product), usage) for product, usage in sorted(population.newest_usage.items())],
        users=population.newest_users,
        days=[
            Day(day, MEANING[state], tests)
            for day, state, tests in reversed(list(zip(days, population.days, population.tests, strict=True)))
            if state is not CoverageState.NOT_WANTED
        ],
    )


def _meaning(one: AnomalySpan) -> str:
    products = ", ".join(name_text(product) for product in one.products)
    return anomalies.MEANING[one.anomaly] + (f" ({products})" if products else "")


def _codes(population: PopulationCoverage) -> dict[str, int]:
    """Return why windows are not complete, where more is known than their state."""
    return {code: count for code, count in population.reasons.items() if code not in MEANING}


def _calendar(days: Sequence[date], population: PopulationCoverage) -> tuple[list[Cell], list[tuple[int, str]]]:
    """Return the days as weeks from Monday on, and in which week a month begins."""
    cells, months = [], []
    shift = days[0].weekday() if days else 0
    for n, (day, state, tests) in enumerate(zip(days, population.days, population.tests, strict=True)):
        week = (n + shift) // _WEEK
        usage = "" if tests is None else f", {tests:,} tests"
        cells.append(Cell(week, day.weekday(), state, f"{day:%a} {day}: {MEANING[state]}{usage}"))
        if day.day == 1 or (n == 0 and day.day < 22):
            months.append((week, f"{day:%b}"))
    return cells, months
