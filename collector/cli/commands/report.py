"""How `collector report` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import (
    Choice,
    PathType,
    number_options,
)


@click.command(
    short_help="Show usage and its changes, also as a page.",
    epilog="""\b
Examples:
  collector report                                   # the last 30 days
  collector report --from 2026-10-01 --to 2026-10-31 --html october.html
  collector report --last 7d --by label:team,product
  collector report --last 90d --by label:cost_center --costs
  collector report --last 90d --csv > usage.csv
  collector report --json | jq .total
""",
)
@number_options
@click.option(
    "--metric",
    type=Choice(["tests", "duration", "screenshots", "cost"]),
    default="tests",
    show_default=True,
    help="What the charts, the change and the order are about.",
)
@click.option("--costs", is_flag=True, help="Also show costs, by the `prices` of the config.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV: a row for each org, population and product, or for --by."
)
@click.option(
    "--html", type=PathType(), metavar="FILE", help="Write a page with charts, which needs no other file; - for stdout."
)
def report(**options: Any) -> int:
    """Show the usage of a period, how it changed against the period before, and what is unknown of it.

    The period is whole days, by default the last 30 that are due for all orgs. A whole month is compared with the month
    before, the beginning of a month with the same days of the month before. It reads the ledger alone: it needs no
    credential and sends no request. What is not known stands beside the numbers, and never counts as zero.
    """
    from collector.cli import report as act  # noqa: PLC0415 - waits for no other command's imports

    return act.report(**options)
