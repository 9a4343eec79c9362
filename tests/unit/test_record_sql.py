"""The SQL for each database: parsed here, and run by tests/adapters/test_record_sql.py where a database is at hand."""

from __future__ import annotations

import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp

from collector.cli.main import cli
from collector.core.record_columns import record_columns
from collector.core.record_sql import LOADED, Dialect, FileFormat, Part, script

COLUMNS = record_columns()
LABELS = {
    Dialect.POSTGRESQL: "JSONB",
    Dialect.DUCKDB: "MAP(TEXT, TEXT)",
    Dialect.BIGQUERY: "JSON",
    Dialect.SNOWFLAKE: "VARIANT",
}
PARSER = {Dialect.POSTGRESQL: "postgres"}


def parsed(dialect: Dialect, form: FileFormat = FileFormat.JSONL, *parts: Part) -> list[exp.Expr]:
    """Parse strictly; lines that begin with a backslash are psql's own."""
    text = script(dialect, form, parts or tuple(Part))
    ours = "\n".join(line for line in text.splitlines() if not line.startswith("\\"))
    return [one for one in sqlglot.parse(ours, read=PARSER.get(dialect, dialect.value)) if one is not None]


@pytest.mark.parametrize(("dialect", "form"), [(one, form) for one in Dialect for form in LOADED[one]])
def test_every_statement_is_one_that_the_dialect_has(dialect: Dialect, form: FileFormat) -> None:
    statements = parsed(dialect, form)
    assert not [one for one in statements if isinstance(one, exp.Command)], "sqlglot doesn't know it"
    kinds = [type(one) for one in statements]
    assert kinds[:4] == [exp.Create, exp.Create, exp.Create, exp.TruncateTable]
    assert kinds[-1] is (exp.Insert if dialect is Dialect.POSTGRESQL else exp.Merge)


@pytest.mark.parametrize("dialect", Dialect)
def test_the_table_has_each_field_of_a_record_in_its_order(dialect: Dialect) -> None:
    table, staging, view, *_ = parsed(dialect)
    for one in (table, staging):
        columns = list(one.find_all(exp.ColumnDef))
        assert [column.name for column in columns] == [column.name for column in COLUMNS]
        (labels,) = (column for column in columns if column.name == "labels")
        assert labels.args["kind"].sql(PARSER.get(dialect, dialect.value)).upper() in {
            LABELS[dialect],
            LABELS[dialect].replace("TEXT", "VARCHAR"),
        }
    assert [one.alias_or_name for one in view.expression.selects] == [column.name for column in COLUMNS]


def test_a_part_is_printed_alone() -> None:
    assert [type(one) for one in parsed(Dialect.DUCKDB, FileFormat.JSONL, Part.MERGE)] == [exp.Merge]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["sql"], "needs --dialect"),
        (["sql", "--dialect", "postgresql", "--files", "parquet"], "Supported: jsonl and csv"),
        (["record", "--files", "csv", "--part", "load"], "--files and --part: only for `collector schema sql`"),
    ],
)
def test_options_that_do_not_fit_are_refused(args: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["schema", *args])
    assert done.exit_code == 2
    assert message in done.output


def test_the_options_name_every_dialect_format_and_part() -> None:
    """The command doesn't import them, so that its help is shown at once."""
    command = cli.get_command(None, "schema")  # type: ignore[arg-type]
    assert command is not None
    choices = {one.name: list(getattr(one.type, "choices", ())) for one in command.params}
    assert choices["dialect"] == list(Dialect)
    assert choices["files"] == list(FileFormat)
    assert choices["part"] == list(Part)


def test_the_arrow_schema_has_the_types_of_the_files() -> None:
    done = CliRunner().invoke(cli, ["schema", "arrow"])
    lines = dict(line.split(": ", 1) for line in done.output.splitlines() if not line.startswith(" "))
    assert list(lines) == [column.name for column in COLUMNS]
    assert lines["total_tests"] == "int64"
    assert lines["window_start"] == "timestamp[us, tz=UTC]"
    assert lines["labels"].startswith("map<string, string")
