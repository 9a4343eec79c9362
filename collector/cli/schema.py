"""`collector schema`: the JSON Schemas of the config, the records, the coverage and the status."""

from __future__ import annotations

import click
import orjson

from collector.config import config_schema
from collector.core.coverage_lines import coverage_schema
from collector.core.record_schema import record_schema
from collector.service.web.status_document import status_schema


def schema(what: str) -> None:
    """Do what `collector schema` is called for."""
    make = {"record": record_schema, "coverage": coverage_schema, "config": config_schema, "status": status_schema}[
        what
    ]
    click.echo(orjson.dumps(make(), option=orjson.OPT_INDENT_2))
