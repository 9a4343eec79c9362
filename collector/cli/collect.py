"""`collector collect`: one run over what is asked of it now."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import click
import structlog

from collector.adapters.event_log import log_event
from collector.app import Plans, lookback, make_plans
from collector.app import collect as collect_plans
from collector.cli.options import (
    Context,
    config_options,
    open_context,
    output_options,
    range_options,
    read_range,
)
from collector.cli.progress import shown_progress
from collector.cli.render import show_result
from collector.core.ranges import Moment

log = structlog.get_logger("collector")


@click.command(
    epilog="""\b
Examples:
  collector collect -c collector.yaml                    records on stdout
  collector collect -c collector.yaml -o usage/          sealed files and a manifest
  collector collect --org acme --last 7d | jq .product   one org, its last seven days
"""
)
@config_options
@output_options
@range_options
def collect(from_: Moment | None, to: Moment | None, last: timedelta | None, progress: str, **options: Any) -> int:
    """Collect the windows of `schedule.lookback` (or of a range) from every org, once.

    What a CronJob calls.
    """
    context = open_context(**options)
    range_ = read_range(from_, to, last) or lookback(context.config)
    plans = make_plans(context.config, range_=range_, scope=context.scope)
    return run_plans(context, plans, command="collect", progress=progress)


def run_plans(context: Context, plans: Plans, *, command: str, progress: str) -> int:
    """Run plans with everything that people see of a run; return the exit code."""
    for note in plans.notes:
        log.info("range.note", message=note)
    for warning in context.config.warnings:
        log.warning("config.warning", message=str(warning))
    with shown_progress(plans, mode=progress, quiet=context.quiet, watch=log_event) as watch:
        result = asyncio.run(collect_plans(context.config, plans, command=command, watch=watch))
    show_result(result, context)
    return int(result.exit_code)
