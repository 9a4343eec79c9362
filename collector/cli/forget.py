"""`collector forget`: a person says that orgs are meant to be gone from the config."""

from __future__ import annotations

from typing import Any

import click

from collector.adapters.clock import SystemClock
from collector.adapters.text import printable
from collector.app.forget import forget_orgs
from collector.cli.options import ledger_options, open_context


@click.command(
    short_help="Say that orgs are meant to be gone.",
    epilog="""\b
Examples:
  collector forget -c collector.yaml acme
  collector forget acme beta
""",
)
@ledger_options
@click.argument("names", metavar="ORG...", nargs=-1, required=True)
def forget(names: tuple[str, ...], **options: Any) -> None:
    """Report orgs no longer that were removed from the config.

    Their history stays in the ledger. An org that comes back into the config goes on where it stopped.
    """
    context = open_context(**options, sends=False)
    for one in forget_orgs(context.config, names, SystemClock()):
        click.echo(f"{printable(one.name)}: it is not reported any more; its history stays in the ledger")
