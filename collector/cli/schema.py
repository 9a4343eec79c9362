"""`collector schema`: JSON Schemas, the Arrow schema of records, and the SQL for databases."""

from __future__ import annotations

import click
import orjson

from collector.config import config_schema
from collector.core.coverage_lines import coverage_schema
from collector.core.record_columns import record_columns
from collector.core.record_schema import record_schema
from collector.core.record_sql import LOADED, Dialect, FileFormat, Part, script
from collector.service.web.status_document import status_schema

_JSON = {"record": record_schema, "coverage": coverage_schema, "config": config_schema, "status": status_schema}


def schema(what: str, *, dialect: str | None, files: str | None, part: str | None) -> None:
    """Do what `collector schema` is called for."""
    given = {"--dialect": dialect, "--files": files, "--part": part}
    if what != "sql" and any(given.values()):
        names = " and ".join(name for name, value in given.items() if value)
        raise click.UsageError(f"{names}: only for `collector schema sql`")
    if what == "sql":
        click.echo(_sql(dialect, files, part), nl=False)
    elif what == "arrow":
        from collector.adapters.tabular.parquet import arrow_schema  # noqa: PLC0415 - an extra

        click.echo(arrow_schema(record_columns()).to_string(show_field_metadata=False))
    else:
        click.echo(orjson.dumps(_JSON[what](), option=orjson.OPT_INDENT_2))


def _sql(dialect: str | None, files: str | None, part: str | None) -> str:
    if dialect is None:
        raise click.UsageError(f"`collector schema sql` needs --dialect: one of {', '.join(Dialect)}")
    database, form = Dialect(dialect), FileFormat(files or FileFormat.JSONL)
    if form not in LOADED[database]:
        known = " and ".join(LOADED[database])
        raise click.UsageError(f"--files {form}: loading these into {database} is not supported. Supported: {known}")
    return script(database, form, tuple(Part) if part is None else [Part(part)])
