"""How `collector serve` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, service_options, shard_option


@click.command(
    short_help="Run as a service, with a status page.",
    epilog="""\b
Examples:
  collector serve -c collector.yaml -o usage/  # status page: 127.0.0.1:8080
  kill -HUP PID                                # reload, retry refused orgs
""",
)
@config_options
@service_options
@shard_option
def serve(**options: Any) -> int:
    """Run as a service: collect on `schedule.cron`; serve health, metrics and the status page.

    It reloads a changed config, file of orgs or secret. If the new config has an error, it keeps
    the one before. SIGTERM drains the run under way, and ends the service with exit code 0.
    """
    from collector.cli import serve as act  # noqa: PLC0415

    return act.serve(**options)
