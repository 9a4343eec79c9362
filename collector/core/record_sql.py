"""The records in a database: tables, the merge that keeps the newest of each record, the view, how files are loaded.

Owns the SQL text for each dialect. Of all rows with one `record_id`, the newest `collected_at` wins, then the highest
`revision`. So files can be loaded in any order, and more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from collector.core.columns import Column, Kind
from collector.core.record_columns import record_columns

TABLE = "usage_records"
STAGING = "usage_staging"
VIEW = "usage_latest"
KEY = "record_id"
_NEVER_NULL = (KEY, "revision", "collected_at")
_COLUMNS = record_columns()
_NAMES = tuple(column.name for column in _COLUMNS)
_LIST = ", ".join(_NAMES)


class Dialect(StrEnum):
    """A database whose SQL is known."""

    POSTGRESQL = "postgresql"
    DUCKDB = "duckdb"
    BIGQUERY = "bigquery"
    SNOWFLAKE = "snowflake"


class FileFormat(StrEnum):
    """A format of files that are loaded."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Part(StrEnum):
    """A part of what a database needs."""

    TABLES = "tables"  # once
    LOAD = "load"  # files into the staging table
    MERGE = "merge"  # the staging table into the table


# What each dialect calls the types, in the order of this tuple.
_KINDS = (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.DATE, Kind.INSTANT, Kind.LABELS, Kind.TEXTS, Kind.JSON)
_TYPES = {
    dialect: dict(zip(_KINDS, types, strict=True))
    for dialect, types in {
        # A list is JSON here too: the CSV has it as JSON, and COPY can't convert.
        Dialect.POSTGRESQL: ("text", "bigint", "numeric", "date", "timestamptz", "jsonb", "jsonb", "jsonb"),
        Dialect.DUCKDB: (
            *("VARCHAR", "BIGINT", "DECIMAL(38, 9)", "DATE", "TIMESTAMPTZ"),
            *("MAP(VARCHAR, VARCHAR)", "VARCHAR[]", "JSON"),
        ),
        Dialect.BIGQUERY: ("STRING", "INT64", "NUMERIC", "DATE", "TIMESTAMP", "JSON", "JSON", "JSON"),
        Dialect.SNOWFLAKE: (
            *("VARCHAR", "BIGINT", "NUMBER(38, 9)", "DATE", "TIMESTAMP_TZ"),
            *("VARIANT", "VARIANT", "VARIANT"),
        ),
    }.items()
}


def table(dialect: Dialect, name: str = TABLE, *, keyed: bool = True) -> str:
    """Return the statement that creates a table of records, unless it is there.

    Only PostgreSQL gets a primary key: the others enforce none, or pay for it with each row.
    """
    types = _TYPES[dialect]
    lines = [
        f"  {column.name} {types[column.kind]}{' NOT NULL' if column.name in _NEVER_NULL else ''}"
        for column in _COLUMNS
    ]
    if keyed and dialect is Dialect.POSTGRESQL:
        lines.append(f"  PRIMARY KEY ({KEY})")
    return f"CREATE TABLE IF NOT EXISTS {name} (\n" + ",\n".join(lines) + "\n)"


def newest(source: str) -> str:
    """Return a query for the newest row of each record in `source`."""
    return (
        f"SELECT {_LIST}\n"  # noqa: S608 - names of ours
        f"FROM (\n"
        f"  SELECT *, row_number() OVER (PARTITION BY {KEY} ORDER BY collected_at DESC, revision DESC) AS place\n"
        f"  FROM {source}\n"
        f") AS ranked\n"
        f"WHERE place = 1"
    )


def view(name: str = VIEW, source: str = TABLE) -> str:
    """Return the statement that creates the view of the newest row of each record, merged or only inserted."""
    return f"CREATE OR REPLACE VIEW {name} AS\n{newest(source)}"


def merge(dialect: Dialect, into: str = TABLE, source: str = STAGING) -> str:
    """Return the statement that merges rows of `source`: a record's row is replaced if the new one is newer."""
    changed = [name for name in _NAMES if name != KEY]
    if dialect is Dialect.POSTGRESQL:  # safe beside other merges, which MERGE isn't
        return (
            f"INSERT INTO {into} AS kept ({_LIST})\n{newest(source)}\n"
            f"ON CONFLICT ({KEY}) DO UPDATE SET\n{_assignments(changed, 'excluded')}\n"
            f"WHERE {_is_newer('excluded')}"
        )
    values = ", ".join(f"fresh.{name}" for name in _NAMES)
    return (
        f"MERGE INTO {into} AS kept\nUSING (\n{newest(source)}\n) AS fresh\n"  # noqa: S608 - names of ours
        f"ON kept.{KEY} = fresh.{KEY}\n"
        f"WHEN MATCHED AND ({_is_newer('fresh')}) THEN UPDATE SET\n{_assignments(changed, 'fresh')}\n"
        f"WHEN NOT MATCHED THEN INSERT ({_LIST})\n  VALUES ({values})"
    )


def _assignments(names: Sequence[str], of: str) -> str:
    return ",\n".join(f"  {name} = {of}.{name}" for name in names)


def _is_newer(row: str) -> str:
    return (
        f"{row}.collected_at > kept.collected_at\n"
        f"  OR ({row}.collected_at = kept.collected_at AND {row}.revision > kept.revision)"
    )


def script(dialect: Dialect, form: FileFormat, parts: Sequence[Part] = tuple(Part)) -> str:
    """Return statements to run one after the other, each with a comment. `form` must be one of `LOADED`."""
    made = {
        Part.TABLES: (
            ("One row for each record, the newest", table(dialect)),
            ("Rows as they come from the files, between loading and merging", table(dialect, STAGING, keyed=False)),
            ("What to query. Sum only what has the quality measured or inferred: all else is not known", view()),
        ),
        Part.LOAD: _loading(dialect, form),
        Part.MERGE: (("Of each record the newest wins: files may come in any order, and again", merge(dialect)),),
    }
    return "\n".join(f"-- {comment}.\n{_ended(statement)}\n" for part in parts for comment, statement in made[part])


def _ended(statement: str) -> str:
    return statement if statement.startswith("\\") else f"{statement};"  # psql's own commands end with the line


LOADED = {
    Dialect.POSTGRESQL: (FileFormat.JSONL, FileFormat.CSV),
    Dialect.DUCKDB: tuple(FileFormat),
    Dialect.BIGQUERY: (FileFormat.JSONL,),
    Dialect.SNOWFLAKE: (FileFormat.JSONL,),
}


def _loading(dialect: Dialect, form: FileFormat) -> Sequence[tuple[str, str]]:
    empty = ("Begin with an empty staging table", f"TRUNCATE TABLE {STAGING}")
    pattern = f"usage-*.{form}"
    match dialect, form:
        case Dialect.POSTGRESQL, FileFormat.CSV:
            text = "The files, without their lines of names. This is psql's command, on one line"
            return empty, (
                text,
                f"\\copy {STAGING} ({_LIST}) FROM PROGRAM '{_find(pattern, 'tail -q -n +2')}' WITH (FORMAT csv)",
            )
        case Dialect.POSTGRESQL, _:
            one_column = "WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"  # characters that no line has
            return (
                empty,
                ("Each line of the files is a value of one column", "CREATE TEMPORARY TABLE usage_lines (line jsonb)"),
                ("This is psql's command", f"\\copy usage_lines FROM PROGRAM '{_find(pattern, 'cat')}' {one_column}"),
                (
                    "The lines' fields into columns",
                    f"INSERT INTO {STAGING}\nSELECT record.*\n"
                    f"FROM usage_lines, jsonb_populate_record(CAST(NULL AS {STAGING}), line) AS record",
                ),
                ("Done with the lines", "DROP TABLE usage_lines"),
            )
        case Dialect.DUCKDB, _:
            return empty, (
                "The files",
                f"INSERT INTO {STAGING} ({_LIST})\n{_duckdb_files(form, f'usage/**/{pattern}*')}",
            )
        case Dialect.BIGQUERY, _:
            options = f"format = 'NEWLINE_DELIMITED_JSON', uris = ['gs://your-bucket/usage/{pattern}']"
            return empty, ("The files, in your bucket", f"LOAD DATA INTO {STAGING}\nFROM FILES ({options})")
        case _:
            options = f"PATTERN = '.*usage-[^/]*[.]{form}'\nFILE_FORMAT = (TYPE = JSON)"
            return empty, (
                "The files, in your stage",
                f"COPY INTO {STAGING}\nFROM @your_stage\n{options}\nMATCH_BY_COLUMN_NAME = CASE_INSENSITIVE",
            )


def _find(pattern: str, command: str) -> str:
    """Return a command that prints files, also those in directories of partitions."""
    return f'find usage -name "{pattern}" -exec {command} {{}} +'


def _duckdb_files(form: FileFormat, files: str) -> str:
    """Return a query for the rows of files, typed as the table is, whatever their directories are called."""
    types = _TYPES[Dialect.DUCKDB]
    match form:
        case FileFormat.JSONL:
            columns = ",\n".join(f"  {column.name}: '{types[column.kind]}'" for column in _COLUMNS)
            options = f"format = 'newline_delimited', hive_partitioning = false, columns = {{\n{columns}\n}}"
            return f"SELECT {_LIST}\nFROM read_json('{files}', {options})"
        case FileFormat.PARQUET:
            return f"SELECT {_LIST}\nFROM read_parquet('{files}', union_by_name = true, hive_partitioning = false)"
        case FileFormat.CSV:
            values = ",\n".join(f"  {_duckdb_cast(column)} AS {column.name}" for column in _COLUMNS)
            options = "header = true, all_varchar = true, union_by_name = true, hive_partitioning = false"
            return f"SELECT\n{values}\nFROM read_csv('{files}', {options})"


def _duckdb_cast(column: Column) -> str:
    text = f"CAST({column.name} AS JSON)" if column.kind in (Kind.LABELS, Kind.TEXTS) else column.name
    return f"CAST({text} AS {_TYPES[Dialect.DUCKDB][column.kind]})"
