"""How `collector schema` is called."""

from __future__ import annotations

from typing import Any

import click


@click.command(
    short_help="Print a JSON Schema.",
    epilog="""\b
Examples:
  collector schema config > collector.schema.json  # for your editor
  collector schema record    # of a record
  collector schema coverage  # of a line in coverage-*.jsonl
  collector schema status    # of /api/status of a service
""",
)
@click.argument("what", type=click.Choice(["record", "coverage", "config", "status"]))
def schema(**options: Any) -> None:
    """Print the JSON Schema of a record, of a window's coverage, of the config or of a service's status."""
    from collector.cli import schema as act  # noqa: PLC0415

    act.schema(**options)
