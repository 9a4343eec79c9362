"""`collector check`: validate the config, and test whether the API accepts every org."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import orjson
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, printable, some
from collector.app.calendars import refused_calendars
from collector.app.check import OrgCheck
from collector.app.ledgers import open_ledger_to_read
from collector.app.prepare import expected_identities
from collector.app.wiring import check_orgs
from collector.cli.colours import COLOURS
from collector.cli.consoles import stdout_console
from collector.cli.context import Context, open_context
from collector.cli.obstacles import obstacles_of_some, refuse_obstacles
from collector.cli.progress import shown_progress
from collector.cli.tables import add_name, new_table
from collector.core.checks import Additivity
from collector.core.exit_codes import ExitCode
from collector.core.identities import Identities
from collector.core.visible import visible
from collector.errors import OlderLedgerError, Refused
from collector.events import all_of
from collector.ledger import NoLedger

log = structlog.get_logger("collector")


def check(deep: bool, as_json: bool, **options: Any) -> int:
    """Do what `collector check` is called for; return the exit code."""
    context = open_context(**options, logs_warnings=False)
    refuse_obstacles(context.config.settings)
    refused, identities = _look_into_ledger(context)
    warnings = [*map(str, context.config.warnings), *obstacles_of_some(context.config.settings)]
    with shown_progress(mode="auto", quiet=context.quiet, watch=all_of()) as watch:
        checks = asyncio.run(check_orgs(context.config, context.scope, identities=identities, deep=deep, watch=watch))
    for one in checks:
        if not one.refused:
            one.failure = refused.get(one.org.name, one.failure)
    code = _exit_code(checks)
    if as_json:
        content = {
            "exit_code": int(code),
            "warnings": warnings,
            "orgs": [_as_json(one, deep=deep) for one in checks],
        }
        click.echo(visible(orjson.dumps(content, option=orjson.OPT_INDENT_2)))
        return int(code)
    console = stdout_console()
    console.print(_table(console, checks, deep=deep))
    for warning in warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    for hint in _hints(checks):
        console.print(Text(hint, style="yellow"))
    accepted = sum(one.accepted for one in checks)
    console.print(Text(f"{accepted} of {count(len(checks), 'org')} accepted"))
    return int(code)


def _look_into_ledger(context: Context) -> tuple[dict[str, Refused], Identities]:
    """Return the orgs that a run refuses because of their calendar, by name, and the organizations that are known.

    An older ledger is left unread.
    """
    try:
        ledger = open_ledger_to_read(context.config)
    except OlderLedgerError as error:
        log.warning("ledger.older", message=f"calendars and organizations are not compared with the ledger: {error}")
        return {}, expected_identities(NoLedger(), context.config, ())
    try:
        orgs = context.scope.of(context.config.orgs)
        return refused_calendars(ledger, context.config, orgs), expected_identities(ledger, context.config, orgs)
    finally:
        ledger.close()


def _exit_code(checks: list[OrgCheck]) -> ExitCode:
    if any(one.refused for one in checks):
        return ExitCode.REFUSED
    return ExitCode.OK if all(one.accepted for one in checks) else ExitCode.INCOMPLETE


def _table(console: Console, checks: list[OrgCheck], *, deep: bool) -> Table:
    """Return one row per org, those that are not accepted first."""
    table = new_table(console)
    add_name(table, "org")
    table.add_column("", no_wrap=True)
    add_name(table, "organization")
    if deep:
        add_name(table, "parts of a day")
    table.add_column("why")
    for one in sorted(checks, key=lambda one: (one.accepted, not one.refused)):
        state = "refused" if one.refused else "failed"
        shown = ("accepted", COLOURS["complete"]) if one.accepted else (state, COLOURS[state])
        row = [Text(printable(one.org.name)), Text(*shown), Text(_identity(one))]
        if deep:
            row.append(Text(one.additivity.value if one.additivity else ""))
        row.append(Text(printable(one.failure.message, 1000) if one.failure else ""))
        table.add_row(*row)
    return table


def _hints(checks: list[OrgCheck]) -> list[str]:
    hints = []
    if other := [one.org.name for one in checks if one.additivity is Additivity.OTHER_END]:
        hints.append(
            f"the API seems to read `to` the other way for {some(other)}: try the other value of api.range_end"
        )
    if differs := [one.org.name for one in checks if one.additivity is Additivity.DIFFERS]:
        hints.append(
            f"the parts of a day don't add up to the day for {some(differs)}: sums over windows will be wrong, too"
        )
    if same := [one.org.name for one in checks if one.same_totals]:
        hints.append(
            f"both populations have the same totals for {some(same)}: "
            "the counts may cover all users, so don't add the populations up"
        )
    return hints


def _identity(one: OrgCheck) -> str:
    return f"{printable(one.finding.org_name)} ({printable(one.finding.org_id)})" if one.finding else ""


def _as_json(one: OrgCheck, *, deep: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "org": one.org.name,
        "accepted": one.accepted,
        "refused": one.refused,
        "org_id": one.finding.org_id if one.finding else None,
        "org_name": one.finding.org_name if one.finding else None,
        "reason": one.failure.code if one.failure else None,
        "message": one.failure.message if one.failure else None,
    }
    if deep:
        content |= {
            "parts": one.additivity.value if one.additivity else None,
            "same_totals": one.same_totals,
        }
    return content
