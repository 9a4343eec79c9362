"""The table of `collector status`, and its strips: a mark for each day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import duration, printable
from collector.cli.colours import COLOURS
from collector.cli.tables import add_name, new_table
from collector.core.org_coverage import INCOMPLETE, CoverageState, OrgCoverage, PopulationCoverage
from collector.model import Zone
from collector.service.web.advice import advice

_MARKS = {  # of a day; without colours too, each is another
    CoverageState.COMPLETE: "█",
    CoverageState.UNVERIFIED: "▁",
    CoverageState.IN_DOUBT: "?",
    CoverageState.PARTIAL: "▒",
    CoverageState.FAILED: "x",
    CoverageState.REFUSED: "!",
    CoverageState.MISSING: "·",
}
STATES = {state: (mark, COLOURS[state]) for state, mark in _MARKS.items()}
_BLANK = (" ", "")
_STRIPS = 12  # months, the newest
_NARROW = 72  # columns
_NARROW_NAME = 16
_NARROW_GAPS = 6
_COMPLETE, _WHY = len("complete"), len("unverified")
_WIDE = 100  # columns
_WIDER = 140


def coverage_table(console: Console, orgs: Sequence[OrgCoverage]) -> Table:
    """Return one row per population with the reason for gaps: those of refused orgs first, then the other bad ones.

    Unverified windows are no gaps: they stand beside the reasons. In 60 columns, a row is one line.
    """
    table = new_table(console)
    if console.width < _WIDE:
        table.show_edge, table.padding = False, (0, 1, 0, 0)
    if console.width < _NARROW:
        return _narrow_table(table, orgs, width=console.width)
    add_name(table, "org")
    table.add_column("population", no_wrap=True)
    table.add_column("complete", justify="right", no_wrap=True)
    table.add_column("not complete")
    table.add_column("first gap", no_wrap=True)
    if has_reasons := any(_why(org, population) for org in orgs for population in org.populations):
        table.add_column("why", min_width=_WHY)
    if wide := console.width >= _WIDE:
        table.add_column("usage since", no_wrap=True)
    if wider := console.width >= _WIDER:
        for name in ("wanted from", "lag", "last success"):
            table.add_column(name, no_wrap=True)
    for org in orgs:
        for population in org.populations:
            gap = _date(population.first_gap, org) if population.first_gap else ""
            usage = _date(population.oldest_usage.start, org) if population.oldest_usage else ""
            table.add_row(
                Text(printable(org.name)),
                Text(population.population.value),
                _complete(population),
                _incomplete(population),
                gap,
                *[_why(org, population)] * has_reasons,
                *[usage] * wide,
                *(_times(org, population) if wider else ()),
            )
    return table


def _narrow_table(table: Table, orgs: Sequence[OrgCoverage], *, width: int) -> Table:
    """Add what is of most use to an empty table, one line for each population; what is longer is cut."""
    rows = [
        (
            Text(printable(org.name)),
            population.population.value.removesuffix("-user"),
            _complete(population),
            Text(", ").join(
                [one for one in (_incomplete(population, worst_first=True), _unverified(population)) if one]
            ),
        )
        for org in orgs
        for population in org.populations
    ]
    users, complete = (max([_COMPLETE * (place - 1), *(len(row[place]) for row in rows)]) for place in (1, 2))
    rest = width - _NARROW_NAME - users - complete - _NARROW_GAPS
    table.add_column("org", no_wrap=True, overflow="ellipsis", max_width=_NARROW_NAME)
    table.add_column("users", no_wrap=True, min_width=users)
    table.add_column("complete", justify="right", no_wrap=True, min_width=complete)
    table.add_column("not complete", no_wrap=True, overflow="ellipsis", max_width=rest)
    for row in rows:
        table.add_row(*row)
    return table


def _complete(population: PopulationCoverage) -> str:
    return f"{population.count(CoverageState.COMPLETE)} of {population.windows}"


def _times(org: OrgCoverage, population: PopulationCoverage) -> tuple[str, str, str]:
    """Return from when windows are wanted, the lag, and when a complete answer last came."""
    success = population.last_success
    return (
        _date(org.wanted[0].start, org) if org.wanted else "",
        duration(population.lag_s) if population.lag_s else "none",
        f"{success.astimezone(Zone.parse(org.timezone).tz):%Y-%m-%d %H:%M}" if success else "never",
    )


def _why(org: OrgCoverage, population: PopulationCoverage) -> Text:
    """Return why windows are not complete: the refusal, else the codes of the failures, but for the state itself.

    Beside it, how many are unverified: those are no gaps.
    """
    unverified, credential = _unverified(population), org.credential
    if org.refused:
        since = f", since {_date(credential.since, org)}" if credential.since else ""
        changed = "; the config has another user by now" if credential.changed else ""
        why = Text(f"{advice(credential.reason).title}{since}{changed}", style=COLOURS["refused"])
    else:
        reasons = sorted(population.reasons.items(), key=lambda one: -one[1])
        why = Text(", ".join(code.replace("_", " ") for code, _ in reasons if code not in STATES), style="yellow")
    return Text(", ").join([one for one in (why, unverified) if one])


def _unverified(population: PopulationCoverage) -> Text:
    state = CoverageState.UNVERIFIED
    number = population.count(state)
    return Text(f"{number} {state_word(state)}" if number else "", style=STATES[state][1])


def _incomplete(population: PopulationCoverage, *, worst_first: bool = False) -> Text:
    """Return how many windows are in each state of a gap, in the colours of the strips."""
    states = INCOMPLETE[::-1] if worst_first else INCOMPLETE
    counts = [(f"{n} {state_word(state)}", STATES[state][1]) for state in states if (n := population.count(state))]
    return Text(", ").join(Text(text, style=colour) for text, colour in counts)


def day_strips(org: OrgCoverage, population: PopulationCoverage) -> Iterator[Text]:
    """Yield a line for each of the newest months with a due window, a mark per day; other days are blank."""
    days = population.days
    first = org.last_day - timedelta(days=len(days) - 1)
    dated = [(first + timedelta(days=n), STATES.get(state, _BLANK)) for n, state in enumerate(days)]
    months = [list(month) for _, month in groupby(dated, key=lambda item: (item[0].year, item[0].month))]
    for month in [month for month in months if any(mark is not _BLANK for _, mark in month)][-_STRIPS:]:
        day = month[0][0]
        line = Text(f"  {day:%Y-%m} " + " " * (day.day - 1))
        for _, (mark, colour) in month:
            line.append(mark, style=colour)
        yield line


def state_word(state: CoverageState) -> str:
    """Return a state as it is read."""
    return state.value.replace("_", " ")


def _date(instant: datetime, org: OrgCoverage) -> str:
    return f"{instant.astimezone(Zone.parse(org.timezone).tz):%Y-%m-%d}"
