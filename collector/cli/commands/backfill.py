"""How `collector backfill` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, output_options, range_options, shard_option, wait_option


@click.command(
    short_help="Collect a past range.",
    epilog="""\b
Examples:
  collector backfill --from 2026-01-01 --to 2026-03-31 -o usage/
  collector backfill --org acme --from 2026-06-01 -o usage/  # until now
  collector backfill --from 2026-04-01 --sparse -o usage/    # mostly idle
  collector plan --from 2026-01-01 --to 2026-03-31           # how long?
""",
)
@config_options
@output_options
@range_options
@wait_option
@shard_option
@click.option("--force", is_flag=True, help="Fetch complete windows again, too.")
@click.option("--sparse", is_flag=True, help="Find empty windows by requests for long spans.")
def backfill(**options: Any) -> int:
    """Collect a past range from every org, oldest first. A second call continues where the first stopped.

    A range is widened to whole windows, and cut to the windows that are due.

    With --sparse, windows without usage need no request of their own. Older windows than `trust_zero_for` do: of those,
    a zero proves nothing.
    """
    from collector.cli import backfill as act  # noqa: PLC0415

    return act.backfill(**options)
