"""`collector collect`: one run over everything that needs fetching now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import structlog

from collector.adapters.clock import SystemClock
from collector.adapters.event_log import EventLog
from collector.adapters.heap import leave_out_modules
from collector.app.command import Command, has_ledger, sparse_of
from collector.app.outputs import refuse_layout
from collector.app.prepare import refuse_file_as_output
from collector.app.range_notes import range_notes
from collector.app.wiring import finish_left_files, run_command
from collector.cli.context import Context, open_context, read_range
from collector.cli.progress import shown_progress
from collector.cli.render import show_result
from collector.cli.retries import Retries
from collector.core.exit_codes import ExitCode
from collector.core.ranges import Moment
from collector.events import all_of
from collector.run.manifest import RunResult
from collector.service.push import leaving_metrics

log = structlog.get_logger("collector")


def collect(
    from_: Moment | None,
    to: Moment | None,
    last: timedelta | None,
    progress: str,
    wait: timedelta,
    directories: tuple[Path, ...],
    lost: tuple[str, ...],
    **options: Any,
) -> int:
    """Do what `collector collect` is called for; return the exit code."""
    context = open_context(**options, sharded=True)
    if directories or lost:
        return _recover(context, directories, lost)
    command = Command(
        name="collect",
        range_=read_range(from_, to, last),
        scope=context.scope,
        wait=wait,
        permits=context.permits,
    )
    return run_and_show(context, command, progress=progress)


def _recover(context: Context, directories: tuple[Path, ...], lost: tuple[str, ...]) -> int:
    if not has_ledger(context.config):
        raise click.UsageError("--recover and --lost need a ledger: `state.url` is none")
    done = finish_left_files(context.config, directories=directories, lost=lost)
    return ExitCode.OK if done else ExitCode.INCOMPLETE


def run_and_show(
    context: Context, command: Command, *, progress: str, show: Callable[[RunResult], None] = lambda _: None
) -> int:
    """Run a command with notes, progress, metrics and summary; return the exit code. First `show` its result."""
    refuse_file_as_output(context.config.settings)
    refuse_layout(context.config.settings)
    orgs = context.scope.of(context.config.orgs)
    if command.range_:
        sparse = sparse_of(context.config.settings) if command.sparse else None
        doing = "compared" if command.compares else "restated" if command.restates else "fetched"
        now = SystemClock().now()
        for note in range_notes(context.config, orgs, command.range_, now=now, doing=doing, sparse=sparse):
            (log.warning if note.warns else log.info)("range.note", message=note.text)
    retries, is_json = Retries(), context.log_format == "json"
    leave_out_modules()
    with leaving_metrics(context.config, command) as leaving:
        listener = all_of(EventLog(retries=is_json), retries.note, leaving.note)
        with shown_progress(mode=progress, quiet=context.quiet, watch=listener) as watch:
            leaving.result = result = asyncio.run(run_command(context.config, command, watch=watch))
    show(result)
    show_result(result, context, retries=retries)
    return int(result.exit_code)
