"""`collector status`: what is complete, and what is not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.text import Text

from collector.adapters.sinks.directory_id import VisibleDirectories
from collector.adapters.sinks.files import OsFiles
from collector.adapters.text import count, printable, shell_word, some
from collector.app.backfills import backfill_commands, zoned
from collector.app.invocation import Invocation, invocation_of
from collector.app.outputs import directory_of
from collector.cli.consoles import stdout_console
from collector.cli.context import open_context
from collector.cli.status_notes import notes
from collector.cli.status_reading import Status, StatusReading
from collector.cli.status_table import STATES, coverage_table, day_strips, state_word
from collector.cli.status_watch import refuse_to_watch_without_terminal, watch
from collector.config import LoadedConfig, Settings
from collector.core.calendar_changes import hours_of
from collector.core.coverage_lines import to_json_lines
from collector.core.ledger_entries import CutOver, RemovedOrg
from collector.core.org_coverage import OrgCoverage
from collector.core.outputs import KnownOutputs, is_remote
from collector.core.visible import visible
from collector.core.windows import merge
from collector.deliver.recovery import why_awaited
from collector.ledger import AwaitedFile
from collector.model import Window, Zone
from collector.service.web.choice import Sort, ordered

_COMMANDS = 10


def status(strips: bool, incomplete: bool, as_json: bool, every: bool, watch_s: float | None, **options: Any) -> int:
    """Do what `collector status` is called for; return the exit code."""
    if every and not as_json:
        raise click.UsageError("--all shows every window as a line of JSON: add --json")
    if watch_s is not None:
        if as_json:
            raise click.UsageError("--watch draws a table: leave out --json")
        refuse_to_watch_without_terminal(stdout_console())
    context = open_context(**options, sharded=True, sends=False)
    config = context.config

    def show(console: Console, found: Status, most: int | None) -> None:
        _show_all(console, config, found, strips=strips, incomplete=incomplete, most=most)

    reading = StatusReading(context)
    try:
        if watch_s is not None:
            return watch(reading, show, stdout_console(), every_s=watch_s)
        found = reading.read()
        shown = _chosen(found, incomplete=incomplete)
        for org in shown if every else ():
            click.echo(to_json_lines(reading.windows(org)), nl=False)
    finally:
        reading.close()
    if not as_json:
        show(stdout_console(), found, None)
    elif not every:
        content = _document(shown, found.removed, _seen_here(found, config), found.left_out)
        click.echo(visible(orjson.dumps(content, option=orjson.OPT_INDENT_2)))
    return found.exit_code


def _chosen(found: Status, *, incomplete: bool) -> Sequence[OrgCoverage]:
    return [org for org in found.orgs if org.incomplete or org.refused] if incomplete else found.orgs


def _seen_here(found: Status, config: LoadedConfig) -> Sequence[tuple[AwaitedFile, bool]]:
    return [(one, _is_here(one, config.settings)) for one in found.awaited]


def _show_all(
    console: Console, config: LoadedConfig, found: Status, *, strips: bool, incomplete: bool, most: int | None
) -> None:
    """Show the table, and below it what isn't in it."""
    shown, invocation = _chosen(found, incomplete=incomplete), invocation_of(config, found.known)
    _show(console, shown, strips=strips, most=most)
    if found.known is not None:  # else it may be elsewhere
        _show_backfills(console, config, shown, found.known)
    for name, cut in found.left_out.items():
        _show_left_out(console, name, cut)
    _show_notes(console, shown, found, _seen_here(found, config), invocation)
    if found.removed:
        _show_removed(console, found.removed, invocation)


def _document(
    orgs: Sequence[OrgCoverage],
    removed: Sequence[RemovedOrg],
    awaited: Sequence[tuple[AwaitedFile, bool]],
    left_out: Mapping[str, CutOver],
) -> dict[str, Any]:
    return {
        "lacking": sum(org.incomplete for org in orgs),
        "orgs": [_as_json(org, left_out.get(org.name)) for org in orgs],
        "removed": [_removed(one) for one in removed],
        "awaited": [_awaited(one, is_here=is_here) for one, is_here in awaited],
    }


def _show_notes(
    console: Console,
    orgs: Sequence[OrgCoverage],
    found: Status,
    awaited: Sequence[tuple[AwaitedFile, bool]],
    invocation: Invocation,
) -> None:
    """Show what the table doesn't: orgs that are left out or begin later, and files of dead processes.

    What is counted is of all orgs that were chosen, also of those that `--incomplete` leaves out.
    """
    if left_out := len(found.orgs) - len(orgs):
        console.print(f"{count(left_out, 'complete org')} not shown", markup=False, highlight=False)
    for note in notes(orgs, counted=found.orgs):
        console.print(note, markup=False, highlight=False)
    for one, is_here in awaited:
        console.print(_await(one, invocation, is_here=is_here), markup=False)


def _show(console: Console, orgs: Sequence[OrgCoverage], *, strips: bool, most: int | None = None) -> None:
    console.print(coverage_table(console, ordered(orgs, Sort.WORST)[:most]))
    shown = [org for org in orgs if strips or org.incomplete][:most]
    for org in shown:
        for population in org.populations:
            console.print(Text.assemble((printable(org.name), "bold"), f" {population.population.value}"))
            for line in day_strips(org, population):
                console.print(line)
    if shown:
        legend = [(f"{mark} {state_word(state)}  ", colour) for state, (mark, colour) in STATES.items()]
        console.print(Text.assemble(*legend))


def _show_backfills(
    console: Console, config: LoadedConfig, orgs: Sequence[OrgCoverage], known: KnownOutputs | None
) -> None:
    old = [zoned(org, gap) for org in orgs for gap in org.old_gaps]
    if old:
        names = list(dict.fromkeys(printable(one.org) for one in old))
        commands = backfill_commands(config, old, known)
        console.print(
            f"{some(names, 5)}: some gaps are too old for a collect (schedule.catch_up, repair_for). Run:",
            markup=False,
        )
        for command in commands[:_COMMANDS]:
            console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)
        if len(commands) > _COMMANDS:
            console.print(f"  and {len(commands) - _COMMANDS} more: they are shown when these are done", markup=False)


def _show_left_out(console: Console, name: str, cut: CutOver) -> None:
    """Print what isn't complete because the org's calendar was changed: no run fetches it any more."""
    console.print(
        f"{printable(name)}: its calendar changed ({printable(cut.zone)} by {printable(cut.granularity)} before): "
        f"{hours_of(cut.left_out)} before {cut.begins:%Y-%m-%d %H:%M} UTC are not complete, and no run fetches them "
        "any more. `--json --all` lists the windows",
        markup=False,
        highlight=False,
    )


def _show_removed(console: Console, removed: Sequence[RemovedOrg], invocation: Invocation) -> None:
    """Print the orgs that the config no longer has, and what a person runs who means it."""
    names = [f"{printable(one.name)} (since {one.since:%Y-%m-%d %H:%M} UTC)" for one in removed]
    console.print(
        f"no longer in the config, so nothing is fetched of them: {some(names, _COMMANDS)}. If that is meant:",
        markup=False,
        highlight=False,
    )
    words = " ".join(shell_word(one.name) for one in removed[:_COMMANDS])
    console.print(f"  {invocation.forget} {words}", markup=False, highlight=False, soft_wrap=True)


def _is_here(one: AwaitedFile, settings: Settings) -> bool:
    """Say whether a run here would find the file's directory, and finish what was left in it."""
    if is_remote(one.file.directory):
        return one.file.directory == settings.output.path
    own = None if is_remote(settings.output.path) else directory_of(settings)
    directory = VisibleDirectories(OsFiles(), own)(one.file)
    return directory is not None and os.path.isdir(directory)  # noqa: PTH112 - `Path.is_dir` raises for a broken disk


def _await(one: AwaitedFile, invocation: Invocation, *, is_here: bool) -> str:
    file = one.file
    host = f" on {printable(file.host)}" if file.host else ""
    since = f" since {one.begun_at:%Y-%m-%d %H:%M} UTC" if one.begun_at else ""
    where = f"{printable(file.name)} in {printable(file.directory)}{host}, {count(one.slices, 'slice')}"
    if is_here:
        return f"unsealed{since}: {where}: its process ended before it was sealed; the next run here seals it"
    why = why_awaited(printable(file.name), invocation.collect, place=printable(file.directory))
    return f"awaited{since}: {where}. {why}"


def _removed(one: RemovedOrg) -> dict[str, Any]:
    return {"org": one.name, "org_id": one.org_id, "org_name": one.org_name, "since": one.since.isoformat()}


def _awaited(one: AwaitedFile, *, is_here: bool) -> dict[str, Any]:
    return {
        "file": one.file.name,
        "directory": one.file.directory,
        "host": one.file.host,
        "here": is_here,
        "slices": one.slices,
        "begun_at": one.begun_at.isoformat() if one.begun_at else None,
    }


def _as_json(org: OrgCoverage, cut: CutOver | None) -> dict[str, Any]:
    zone = Zone.parse(org.timezone).tz

    def span(window: Window) -> dict[str, str]:
        return {"start": window.start.astimezone(zone).isoformat(), "end": window.end.astimezone(zone).isoformat()}

    return {
        "org": org.name,
        "org_id": org.org_id,
        "org_name": org.org_name,
        "wanted": [span(window) for window in org.wanted],
        "lacking": org.incomplete,
        "left_out": [span(window) for window in cut.left_out] if cut else [],
        "lag_s": org.lag_s,
        "last_success": org.last_success and org.last_success.isoformat(),
        "credential": org.credential,
        "populations": [
            {
                "population": population.population.value,
                "windows": population.windows,
                **{state.value: population.count(state) for state in STATES},
                "lag_s": population.lag_s,
                "last_success": population.last_success and population.last_success.isoformat(),
                "gaps": [span(gap) for gap in merge(gap.window for gap in population.gaps)],
                "anomalies": [
                    {"anomaly": one.anomaly.value, "products": list(one.products), **span(one.window)}
                    for one in population.anomalies
                ],
                "oldest_usage": span(population.oldest_usage) if population.oldest_usage else None,
            }
            for population in org.populations
        ],
    }
