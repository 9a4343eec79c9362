"""How `collector export` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import (
    Choice,
    PathType,
    complete_run,
    number_options,
)


@click.command(
    short_help="Write the present numbers, or their sums.",
    epilog="""\b
Examples:
  collector export --last 7d                          # a table
  collector export --last 90d -o usage.parquet        # a row per record
  collector export --last 90d --by month,label:team   # sums
  collector export --last 90d --unknown               # what is missing
  collector export --changed-since 2026-07-01         # what was restated
  collector export --from 2026-06-01 --to 2026-06-30 --by label:team --costs
  collector export --from 2026-06-01 --to 2026-06-30 -f focus -o june.csv
  collector export --by week,org -f jsonl | jq .total_tests
""",
)
@number_options
@click.option("--unknown", is_flag=True, help="Instead of numbers: the windows of which not every number is known.")
@click.option(
    "--changed-since",
    metavar="RUN_ID|DATE",
    shell_complete=complete_run,
    help="Instead: the records that were restated after that run, or since that date, with both numbers.",
)
@click.option(
    "--costs", is_flag=True, help="Beside the numbers, or their sums: what they cost by the `prices` of the config."
)
@click.option(
    "-f",
    "--format",
    "format_",
    type=Choice(["table", "csv", "jsonl", "parquet", "xlsx", "focus"]),
    help="Default: by the ending of the file; else a table on a terminal, and csv elsewhere. focus: the costs of whole "
    "months as FOCUS 1.2, in CSV or Parquet.",
)
@click.option(
    "-o",
    "--output",
    "file",
    type=PathType(),
    metavar="FILE",
    help="A file, which is replaced when all is written; - for stdout, the default.",
)
def export(**options: Any) -> int:
    """Write what the ledger knows now: one row per product and window, the newest, or sums over them.

    It needs no credential and sends no request. What is not known is counted in `windows_unknown`, never as zero. Users
    are never summed. Exits with 0 also if windows are unknown: a note on stderr says how many.
    """
    from collector.cli import export as act  # noqa: PLC0415 - waits for no other command's imports

    return act.export(**options)
