"""How `collector status` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, output_option, shard_option, state_option


@click.command(
    short_help="Show what is complete and what is not.",
    epilog="""\b
Examples:
  collector status -c collector.yaml    # a table, and strips of what has gaps
  collector status --org acme --strips  # the strips of one org
  collector status --incomplete         # only what has gaps
  collector status --watch              # follow a run, until Ctrl-C
  collector status --json --all         # every window, a line of JSON each
  collector status --json | jq '.orgs[] | select(.lacking > 0) | .org'
""",
)
@config_options
@output_option
@state_option
@shard_option
@click.option(
    "--strips", is_flag=True, help="A strip per month, a mark per day, for every org: not only for those with gaps."
)
@click.option("--incomplete", is_flag=True, help="Only orgs with a window that is not complete, or with a refusal.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(0.5, 3600),
    is_flag=False,
    flag_value=2,
    metavar="[SECONDS]",
    help="Draw it again in place, on a terminal, every 2 s or as often as this; Ctrl-C ends it.",
)
@click.option("--all", "every", is_flag=True, help="With --json: a line for every window that is wanted and has ended.")
def status(**options: Any) -> int:
    """Show coverage from the ledger, per org and population. Exits with 3 if anything is incomplete.

    An org that every run refuses for its changed calendar is shown by the calendar of its windows in the ledger.
    """
    from collector.cli import status as act  # noqa: PLC0415

    return act.status(**options)
