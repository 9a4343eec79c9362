"""How `collector plan` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, range_options, shard_option, state_option


@click.command(
    short_help="Show what would be fetched.",
    epilog="""\b
Examples:
  collector plan -c collector.yaml                       # the next collect
  collector plan --from 2026-01-01 --to 2026-03-31       # a backfill
  collector plan --from 2026-01-01 --sparse              # a sparse backfill
  collector plan --from 2026-01-01 --json | jq .seconds  # for scripts
""",
)
@config_options
@state_option
@range_options
@shard_option
@click.option("--sparse", is_flag=True, help="Of a `backfill --sparse`: requests at least and at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plan(**options: Any) -> None:
    """Show what `collect`, or `backfill` with a range, would fetch: slices, requests, time. Sends nothing.

    Requests and time are minimums: retries and partial answers add to them. With --sparse, it depends on the usage how
    many requests there are: the smallest number is that of windows without any.
    """
    from collector.cli import plan as act  # noqa: PLC0415

    act.plan(**options)
