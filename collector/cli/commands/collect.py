"""How `collector collect` is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.commands.options import (
    PathType,
    complete_awaited,
    config_options,
    output_options,
    range_options,
    shard_option,
    wait_option,
)


@click.command(
    short_help="Collect what every org needs now.",
    epilog="""\b
Examples:
  collector collect -c collector.yaml -o usage/         # files, a manifest
  collector collect --shard 0/4 -o usage/               # one of four
  collector collect --last 7d --state none -o - | jq .  # on stdout

Use `--state none` with a pipe: records that a reader leaves in it are complete
in a ledger, and don't come again.
""",
)
@config_options
@output_options
@range_options
@wait_option
@shard_option
@click.option(
    "--recover",
    "directories",
    multiple=True,
    type=PathType(path_type=Path),
    metavar="DIR",
    help="Seal the files that a dead process left in DIR, such as another machine's directory, and end; repeatable.",
)
@click.option(
    "--lost",
    multiple=True,
    metavar="FILE",
    shell_complete=complete_awaited,
    help="Give up a file that `status` shows as awaited: its slices are to be fetched again. Then end; repeatable.",
)
def collect(**options: Any) -> int:
    """Collect what every org needs now: new windows, gaps, repairs, rechecks. Run it as a CronJob.

    Without a ledger (`--state none`) it collects the windows of `schedule.lookback`; with a range, that range.
    """
    from collector.cli import collect as act  # noqa: PLC0415

    return act.collect(**options)
