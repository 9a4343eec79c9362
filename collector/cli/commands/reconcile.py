"""How `collector reconcile` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, output_options, range_options, shard_option, wait_option


@click.command(
    short_help="Compare with the API's totals.",
    epilog="""\b
Examples:
  collector reconcile --from 2026-06-01 --to 2026-06-30 -o usage/  # a bill
  collector reconcile --last 90d -o usage/                         # late data
  collector reconcile --last 90d -o usage/ --json | jq .totals     # a script

Exit code 3 if anything differed or could not be compared, also if it was
restated: a second call says whether it still differs. For bills: one call for
each month, as what moves from day to day within a call may cancel.
""",
)
@config_options
@output_options
@range_options
@wait_option
@shard_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def reconcile(**options: Any) -> int:
    """Compare what was collected with what the API says now, and restate what changed.

    One request for up to 90 days says whether anything in them changed. Where it did, a few more find the windows:
    only those are fetched again. The table shows what the API says now, what was collected, the difference, and in how
    many windows a number changed ("3+": at least three), per org, population and product. Only complete windows are
    compared. Users are not: they don't add up.
    """
    from collector.cli import reconcile as act  # noqa: PLC0415

    return act.reconcile(**options)
