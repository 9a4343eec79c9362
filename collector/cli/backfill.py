"""`collector backfill`: one run over a past range."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from collector.app.command import Command
from collector.cli.collect import run_and_show
from collector.cli.context import open_context, read_range
from collector.core.ranges import Moment


def backfill(
    from_: Moment | None,
    to: Moment | None,
    last: timedelta | None,
    progress: str,
    wait: timedelta,
    force: bool,
    sparse: bool,
    **options: Any,
) -> int:
    """Do what `collector backfill` is called for; return the exit code."""
    context = open_context(**options, sharded=True)
    range_ = read_range(from_, to, last)
    if range_ is None:
        raise click.UsageError("a backfill needs a range: --from 2026-01-01 --to 2026-03-31, or --last 90d")
    command = Command(
        name="backfill",
        range_=range_,
        scope=context.scope,
        force=force,
        sparse=sparse,
        wait=wait,
        permits=context.permits,
    )
    return run_and_show(context, command, progress=progress)
