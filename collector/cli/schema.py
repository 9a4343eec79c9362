"""`collector schema`: the JSON Schema of what goes in and of what comes out."""

from __future__ import annotations

import click
import orjson

from collector.config import config_schema
from collector.core.record_schema import record_schema


@click.command(
    epilog="""\b
Examples:
  collector schema config > collector.schema.json   for your editor
  collector schema record                           for whoever reads the records
"""
)
@click.argument("what", type=click.Choice(["record", "config"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a record or of the config."""
    content = config_schema() if what == "config" else record_schema()
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))
