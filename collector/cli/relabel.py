"""`collector relabel`: records with corrected names and labels, from the ledger alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from collector.app.command import Command, has_ledger
from collector.cli.collect import run_and_show
from collector.cli.context import open_context, read_range
from collector.core.ledger_entries import RELABEL
from collector.core.ranges import Moment


def relabel(
    from_: Moment | None,
    to: Moment | None,
    last: timedelta | None,
    progress: str,
    wait: timedelta,
    **options: Any,
) -> int:
    """Do what `collector relabel` is called for; return the exit code."""
    context = open_context(**options, sharded=True, sends=False)
    if not has_ledger(context.config):
        raise click.UsageError("relabel restates what a ledger holds: `state.url` is none")
    range_ = read_range(from_, to, last)
    if range_ is None:
        raise click.UsageError("a relabel needs a range: --from 2026-01-01 --to 2026-03-31, or --last 90d")
    command = Command(name=RELABEL, range_=range_, scope=context.scope, wait=wait, permits=context.permits)
    return run_and_show(context, command, progress=progress)
