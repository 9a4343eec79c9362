"""`collector status`: what is there and what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.clock import SystemClock
from collector.adapters.sinks.directory_id import VisibleDirectories
from collector.adapters.text import printable
from collector.app.command import has_ledger
from collector.app.coverage import OrgStatus, org_statuses
from collector.app.prepare import output_directory
from collector.app.wiring import open_ledger
from collector.cli.options import config_options, open_context, shard_option, state_option
from collector.cli.streams import stdout_console
from collector.config import Settings
from collector.core.coverage_status import IN_DOUBT, MISSING, PopulationStatus, State
from collector.core.exit_codes import ExitCode
from collector.deliver.recovery import AWAITED
from collector.ledger import AwaitedFile
from collector.model import SliceState, Window

_STATES: dict[State, tuple[str, str]] = {  # the mark of a day, and its colour
    SliceState.COMPLETE: ("█", "green"),
    IN_DOUBT: ("?", "yellow"),
    SliceState.PARTIAL: ("▒", "yellow"),
    SliceState.FAILED: ("x", "red"),
    SliceState.REFUSED: ("!", "red"),
    MISSING: ("·", "red"),
}
_STRIPS = 12  # months, the newest
_WIDE = 100  # columns


@click.command(
    epilog="""\b
Examples:
  collector status -c collector.yaml             a table, and a strip per month for what lacks something
  collector status --org acme --strips           the strips of one org
  collector status --json | jq '.orgs[] | select(.lacking > 0) | .org'
"""
)
@config_options
@state_option
@shard_option
@click.option("--strips", is_flag=True, help="A strip per month for every org, not only for those with gaps.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def status(strips: bool, as_json: bool, **options: Any) -> int:
    """Show coverage from the ledger, per org and population. Exits with 3 if there are gaps."""
    context = open_context(**options, sharded=True)
    if not has_ledger(context.config):
        raise click.UsageError("there is no ledger: `state.url` is none")
    clock = SystemClock()
    ledger = open_ledger(context.config.settings, "status", clock)
    try:
        orgs = org_statuses(ledger, context.config, context.scope.of(context.config.orgs), now=clock.now())
        awaited = [(one, _is_here(one, context.config.settings)) for one in ledger.awaited()]
    finally:
        ledger.close()
    if as_json:
        content = {
            "lacking": sum(org.lacking for org in orgs),
            "orgs": [_as_json(org) for org in orgs],
            "awaited": [_awaited(one, is_here=is_here) for one, is_here in awaited],
        }
        click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    else:
        console = stdout_console()
        _show(console, orgs, strips=strips)
        for one, is_here in awaited:
            console.print(_await(one, is_here=is_here), soft_wrap=True, markup=False)
    return ExitCode.INCOMPLETE if awaited or any(org.lacking for org in orgs) else ExitCode.OK


def _show(console: Console, orgs: list[OrgStatus], *, strips: bool) -> None:
    console.print(_table(orgs, wide=console.width >= _WIDE))
    shown = [org for org in orgs if strips or org.lacking]
    for org in shown:
        for population in org.populations:
            console.print(Text.assemble((printable(org.org.name), "bold"), f" {population.population.value}"))
            for line in _strips(population):
                console.print(line)
    if shown:
        legend = [(f"{mark} {_word(state)}  ", colour) for state, (mark, colour) in _STATES.items()]
        console.print(Text.assemble(*legend))
    old = [printable(org.org.name) for org in orgs if org.beyond_catch_up]
    if old:
        names = ", ".join(old[:5]) + (" and others" if len(old) > 5 else "")
        console.print(
            f"{names}: some gaps are older than schedule.catch_up, which no collect fills: run `collector backfill`",
            soft_wrap=True,
            markup=False,
        )


def _table(orgs: list[OrgStatus], *, wide: bool) -> Table:
    used = [state for state in _STATES if any(p.counts[state] for org in orgs for p in org.populations)]
    table = Table(header_style="bold")
    table.add_column("org", overflow="fold", min_width=8, max_width=30)
    table.add_column("population", overflow="fold", min_width=7)
    for name in ("windows", *map(_word, used)):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("first gap", "usage since")[: 2 if wide else 1]:
        table.add_column(name, no_wrap=True)
    for org in orgs:
        for population in org.populations:
            counts = [Text(str(population.counts[state] or ""), style=_STATES[state][1]) for state in used]
            gap = _date(population.gaps[0], org) if population.gaps else ""
            usage = _date(population.oldest_usage, org) if population.oldest_usage else ""
            names = [Text(printable(org.org.name)), Text(population.population.value)]
            row = [*names, Text(str(population.windows)), *counts, Text(gap), Text(usage)]
            table.add_row(*row[: len(table.columns)])
    return table


def _strips(population: PopulationStatus) -> Iterator[Text]:
    """Yield a line per month, a mark per day; a day that isn't wanted or due is blank."""
    months = sorted({(day.year, day.month) for day in population.days})[-_STRIPS:]
    for year, month in months:
        line = Text(f"  {year}-{month:02} ")
        days = {day.day: state for day, state in population.days.items() if (day.year, day.month) == (year, month)}
        for number in range(1, 32):
            mark, colour = _STATES[days[number]] if number in days else (" ", "")
            line.append(mark, style=colour)
        yield line


def _word(state: State) -> str:
    return str(state).replace("_", " ")


def _is_here(one: AwaitedFile, settings: Settings) -> bool:
    """Say whether a run here would find the file's directory, and finish what was left in it."""
    directory = VisibleDirectories(output_directory(settings))(one.file)
    return directory is not None and os.path.isdir(directory)  # noqa: PTH112 - `Path.is_dir` raises for a broken disk


def _await(one: AwaitedFile, *, is_here: bool) -> str:
    file = one.file
    host = f" on {printable(file.host)}" if file.host else ""
    since = f" since {one.begun_at:%Y-%m-%d %H:%M} UTC" if one.begun_at else ""
    where = f"{printable(file.name)} in {printable(file.directory)}{host}, {one.slices} slices"
    if is_here:
        return f"unsealed{since}: {where}: their run didn't come to its end; the next one here finishes what it left"
    return f"awaited{since}: {where}. {AWAITED}"


def _awaited(one: AwaitedFile, *, is_here: bool) -> dict[str, Any]:
    return {
        "file": one.file.name,
        "directory": one.file.directory,
        "host": one.file.host,
        "here": is_here,
        "slices": one.slices,
        "begun_at": one.begun_at.isoformat() if one.begun_at else None,
    }


def _date(window: Window, org: OrgStatus) -> str:
    return f"{window.start.astimezone(org.org.zone.tz):%Y-%m-%d}"


def _as_json(org: OrgStatus) -> dict[str, Any]:
    zone = org.org.zone.tz

    def span(window: Window) -> dict[str, str]:
        return {"start": window.start.astimezone(zone).isoformat(), "end": window.end.astimezone(zone).isoformat()}

    return {
        "org": org.org.name,
        "org_id": org.org_id,
        "org_name": org.org_name,
        "lacking": org.lacking,
        "populations": [
            {
                "population": population.population.value,
                "windows": population.windows,
                **{str(state): population.counts[state] for state in _STATES},
                "gaps": [span(gap) for gap in population.gaps],
                "oldest_usage": span(population.oldest_usage) if population.oldest_usage else None,
            }
            for population in org.populations
        ],
    }
