"""`collector reconcile`: what the API says now, against what was collected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
import orjson

from collector.app.command import Command, has_ledger
from collector.cli.collect import run_and_show
from collector.cli.consoles import stderr_console, stdout_console
from collector.cli.context import open_context, read_range
from collector.cli.reconcile_table import comparison_table, notes
from collector.core.ledger_entries import RECONCILE
from collector.core.ranges import Moment
from collector.core.visible import visible
from collector.run.compared import populations_as_json, totals_as_json
from collector.run.manifest import RunResult, in_words

_STDOUT = "-"


def reconcile(
    from_: Moment | None,
    to: Moment | None,
    last: timedelta | None,
    progress: str,
    wait: timedelta,
    as_json: bool,
    **options: Any,
) -> int:
    """Do what `collector reconcile` is called for; return the exit code."""
    context = open_context(**options, sharded=True)
    if not has_ledger(context.config):
        raise click.UsageError("reconcile compares what a ledger holds: `state.url` is none")
    range_ = read_range(from_, to, last)
    if range_ is None:
        raise click.UsageError("a reconcile needs a range: --from 2026-06-01 --to 2026-06-30, or --last 90d")
    to_stdout = context.config.settings.output.path == _STDOUT
    if as_json and to_stdout:
        raise click.UsageError("records go to stdout, so --json can't: give a directory with --output")
    command = Command(name=RECONCILE, range_=range_, scope=context.scope, wait=wait, permits=context.permits)

    def show(result: RunResult) -> None:
        if as_json:
            click.echo(visible(orjson.dumps(_document(result), option=orjson.OPT_INDENT_2)))
        elif not context.quiet:
            console = stderr_console() if to_stdout else stdout_console()
            console.print(comparison_table(console, result.summary))
            for note in notes(result.summary):
                console.print(note, highlight=False, soft_wrap=True)

    return run_and_show(context, command, progress=progress, show=show)


def _document(result: RunResult) -> dict[str, Any]:
    summary = result.summary
    return {
        "run_id": result.run_id,
        "exit_code": int(result.exit_code),
        "message": result.why_idle if result.had_nothing_due else None,
        "totals": totals_as_json(summary, only_differing=False),
        "populations": populations_as_json(summary),
        "not_complete": in_words(result)["not_complete"],
    }
