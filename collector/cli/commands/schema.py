"""How `collector schema` is called."""

from __future__ import annotations

from typing import Any

import click


@click.command(
    short_help="Print a JSON Schema, the Arrow schema, or SQL.",
    epilog="""\b
Examples:
  collector schema config > collector.schema.json  # for your editor
  collector schema record    # of a record
  collector schema coverage  # of a line in coverage-*.jsonl
  collector schema status    # of /api/status of a service
  collector schema arrow     # of a Parquet file of records
  collector schema sql --dialect duckdb --files parquet
""",
)
@click.argument("what", type=click.Choice(["record", "coverage", "config", "status", "arrow", "sql"]))
@click.option(
    "--dialect",
    type=click.Choice(["postgresql", "duckdb", "bigquery", "snowflake"]),
    help="For `sql`: the database.",
)
@click.option(
    "--files",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="For `sql`: the format of the files that are loaded.  [default: jsonl]",
)
@click.option(
    "--part",
    type=click.Choice(["tables", "load", "merge"]),
    help="For `sql`: only this part: create the tables and the view, load files, or merge what was loaded.",
)
def schema(**options: Any) -> None:
    """Print a schema, or the SQL that a database needs for records.

    The JSON Schema of a record, of a window's coverage, of the config or of a service's status; the Arrow schema of
    records; or SQL: the tables, how files are loaded, and the merge that keeps the newest of each record.
    """
    from collector.cli import schema as act  # noqa: PLC0415

    act.schema(**options)
