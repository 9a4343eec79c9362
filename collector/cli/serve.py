"""`collector serve`: the long-running service."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import structlog

from collector.adapters.event_log import log_event
from collector.cli.options import config_options, open_context, service_options, shard_option
from collector.cli.streams import never_wait_for_stderr
from collector.core.exit_codes import ExitCode
from collector.service import serving

log = structlog.get_logger("collector")


@click.command(
    epilog="""\b
Examples:
  collector serve -c collector.yaml -o usage/        runs on schedule.cron; the status page is on 127.0.0.1:8080
  kill -HUP PID                                      reload the config, and try refused orgs again
"""
)
@config_options
@service_options
@shard_option
def serve(**options: Any) -> int:
    """Run as a service: collect on `schedule.cron`; serve health, metrics and the status page.

    It reloads a changed config, file of orgs or secret. If the new config has an error, it keeps
    the one before. SIGTERM drains the run under way, and ends the service with exit code 0.
    """
    never_wait_for_stderr()
    context = open_context(**options, sharded=True)
    for warning in context.config.warnings:
        log.warning("config.warning", message=str(warning))
    asyncio.run(serving.serve(context.config, load=context.reload, scope=context.scope, watch=log_event))
    return ExitCode.OK
