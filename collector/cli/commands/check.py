"""How `collector check` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, state_option


@click.command(
    short_help="Test the config and each credential.",
    epilog="""\b
Examples:
  collector check -c collector.yaml  # one request per org
  collector check --org acme --deep  # do the hours of a day add up to it?
  collector check --json | jq '.orgs[] | select(.accepted | not)'
""",
)
@config_options
@state_option
@click.option(
    "--deep",
    is_flag=True,
    help="Also test, on a past day, what the API's documents don't specify: about 30 requests per org.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def check(**options: Any) -> int:
    """Validate the config, and send one request per org: show whether it is accepted, or why not.

    What would stop every run at once is an error too: a missing package, an output or a file that can't be used.

    An org is refused as a run would refuse it: also if another organization answers than the ledger knows for it.
    """
    from collector.cli import check as act  # noqa: PLC0415

    return act.check(**options)
