"""How `collector forget` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import complete_removed, ledger_options


@click.command(
    short_help="Say that orgs are meant to be gone.",
    epilog="""\b
Examples:
  collector forget -c collector.yaml acme
  collector forget acme beta
""",
)
@ledger_options
@click.argument("names", metavar="ORG...", nargs=-1, required=True, shell_complete=complete_removed)
def forget(**options: Any) -> None:
    """Report orgs no longer that were removed from the config.

    Their history stays in the ledger. An org that comes back into the config goes on where it stopped.
    """
    from collector.cli import forget as act  # noqa: PLC0415

    act.forget(**options)
