"""How `collector relabel` is called."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.commands.options import config_options, output_options, range_options, shard_option, wait_option


@click.command(
    short_help="Restate records with new names and labels.",
    epilog="""\b
Examples:
  collector relabel --org acme --from 2026-01-01 -o usage/
  collector relabel --label team=qa --last 90d -o usage/
""",
)
@config_options
@output_options
@range_options
@wait_option
@shard_option
def relabel(**options: Any) -> int:
    """Emit records again whose names or labels are not those of the config any more, as the next revision.

    The numbers stay. They come from the ledger: nothing is requested, so it also works for time that the API has
    deleted. Records of a collector that did not note their labels yet are all emitted again, once.
    """
    from collector.cli import relabel as act  # noqa: PLC0415

    return act.relabel(**options)
