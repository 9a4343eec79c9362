"""Files of records in real databases: each loaded twice and in any order, the newest of each record is what is seen."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.tabular import Format, open_table
from collector.core.record_columns import record_columns
from collector.core.record_sql import STAGING, TABLE, VIEW, Dialect, FileFormat, Part, script
from collector.model import Granularity, Population, Quality, Record
from tests.support.breadth import some_of
from tests.support.needs import need
from tests.support.postgresql import Server

EAST = timezone(timedelta(hours=5, minutes=30))
COLUMNS = record_columns()
NAMES = [column.name for column in COLUMNS]
Batch = list[list[Record]]  # files that are loaded together, in one load
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
counts = st.none() | st.integers(0, 2**63 - 1)


def record_of(which: int, **more: Any) -> Record:
    start = datetime(2026, 6, 23, tzinfo=EAST)
    fields: dict[str, Any] = {
        "record_id": f"0c5f4a51-0000-5000-8000-00000000000{which}",
        "revision": 1,
        "org": "acme",
        "org_id": "1",
        "org_name": "Acme Corp",
        "labels": {"team": "qa"},
        "population": Population.ACCOUNT_USER,
        "product": "automation",
        "granularity": Granularity.DAY,
        "timezone": "Asia/Kolkata",
        "window_date": date(2026, 6, 23),
        "window_start": start,
        "window_end": start + timedelta(days=1),
        "total_tests": 1,
        "total_duration": None,
        "total_screenshots": None,
        "org_users": 1,
        "quality": Quality.MEASURED,
        "anomalies": [],
        "collected_at": datetime(2026, 6, 24, 10, 0, 0, 123456, tzinfo=UTC),
        "run_id": "20260624T102000Z-4be1f0",
    }
    return Record(**fields | more)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """One of few records, at one of few instants, with anything that its other fields may have."""
    minute = draw(st.integers(0, 1))
    return record_of(
        draw(st.integers(0, 2)),
        revision=draw(st.integers(1, 3)),
        org=draw(texts),
        org_name=draw(texts),
        labels=draw(st.dictionaries(texts, texts, max_size=2)),
        product=draw(texts),
        total_tests=draw(counts),
        total_duration=draw(counts),
        total_screenshots=draw(counts),
        org_users=draw(counts),
        anomalies=draw(st.lists(st.sampled_from(["shrunk", "same_totals"]), max_size=2)),
        collected_at=datetime(2026, 6, 24, 10, minute, 0, 123456, tzinfo=UTC),
        extra=draw(st.none() | st.dictionaries(texts, st.integers(0, 9) | texts, min_size=1, max_size=2)),
    )


def version(record: Record) -> tuple[datetime, int]:
    return record.collected_at, record.revision


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[Batch], dict[str, Record]]:
    """Files, each loaded twice and in any order, several at a time; and the truth."""
    unique = st.lists(records(), min_size=1, max_size=12, unique_by=lambda one: (one.record_id, *version(one)))
    drawn = draw(unique)
    files: list[list[Record]] = [[] for _ in range(draw(st.integers(1, 3)))]
    for record in drawn:
        files[draw(st.integers(0, len(files) - 1))].append(record)
    order = draw(st.permutations([*files, *files]))
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1), max_size=3)))
    batches = [order[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    truth: dict[str, Record] = {}
    for record in drawn:
        if record.record_id not in truth or version(truth[record.record_id]) < version(record):
            truth[record.record_id] = record
    return batches, truth


def write(batch: Batch, form: FileFormat, directory: Path) -> None:
    """Put files where the script looks for them: some in directories of partitions, beside what is not finished."""
    usage = directory / "usage"
    shutil.rmtree(usage, ignore_errors=True)
    for number, file in enumerate(batch):
        where = usage / ("month=2026-05/org=of the path" if number % 2 else "")
        where.mkdir(parents=True, exist_ok=True)
        (where / f".usage-20260624T102000Z-4be1f0-{number:04}.{form}").write_bytes(b"{half a")
        with (where / f"usage-20260624T102000Z-4be1f0-{number:04}.{form}").open("wb") as stream:
            if form is FileFormat.JSONL:
                stream.write(to_lines(file))
            else:
                table = open_table(Format(form.value), COLUMNS, stream)
                table.write(file)
                table.close()


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def rows(found: Sequence[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """Rows by record, instants in UTC, and what is nested as values."""
    made = {}
    for row in found:
        values = dict(zip(NAMES, row, strict=True))
        for name in ("window_start", "window_end", "collected_at"):
            values[name] = values[name].astimezone(UTC)
        for name in ("labels", "extra", "anomalies"):
            values[name] = as_json(values[name])
        assert values["record_id"] not in made
        made[values["record_id"]] = values
    return made


def expected(truth: dict[str, Record]) -> dict[str, dict[str, Any]]:
    return rows([tuple(record) for record in truth.values()])


SLOWLY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.chdir(name)
        yield Path(name)


@pytest.mark.parametrize("form", some_of(FileFormat, 1))
def test_duckdb_shows_the_newest_of_each_record(form: FileFormat, directory: Path) -> None:
    @SLOWLY
    @given(loaded=loads())
    def any_order(loaded: tuple[list[Batch], dict[str, Record]]) -> None:
        batches, truth = loaded
        with duckdb.connect() as database:
            for batch in batches:
                write(batch, form, directory)
                database.execute(script(Dialect.DUCKDB, form))
            for name in (TABLE, VIEW):
                assert rows(database.execute(f"SELECT * FROM {name}").fetchall()) == expected(truth)

    any_order()


def test_the_view_shows_the_newest_also_where_rows_are_only_inserted(directory: Path) -> None:
    @SLOWLY
    @given(loaded=loads())
    def any_order(loaded: tuple[list[Batch], dict[str, Record]]) -> None:
        batches, truth = loaded
        with duckdb.connect() as database:
            for batch in batches:
                write(batch, FileFormat.PARQUET, directory)
                database.execute(script(Dialect.DUCKDB, FileFormat.PARQUET, [Part.TABLES, Part.LOAD]))
                database.execute(f"INSERT INTO {TABLE} SELECT * FROM {STAGING}")
            assert rows(database.execute(f"SELECT * FROM {VIEW}").fetchall()) == expected(truth)

    any_order()


@pytest.fixture
def psql(server: Server, directory: Path) -> Callable[[str], str]:
    """Runs a script as people do: with psql, all of it or nothing."""
    need("psql", package="postgresql-client")

    def run(text: str) -> str:
        command = ["psql", server.url(), "--no-psqlrc", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=directory, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


@pytest.mark.slow  # needs PostgreSQL
@pytest.mark.parametrize("form", [FileFormat.JSONL, FileFormat.CSV])
def test_postgresql_shows_the_newest_of_each_record(
    form: FileFormat, server: Server, psql: Callable[[str], str], directory: Path
) -> None:
    @SLOWLY
    @given(loaded=loads())
    def any_order(loaded: tuple[list[Batch], dict[str, Record]]) -> None:
        batches, truth = loaded
        with psycopg.connect(server.url(), autocommit=True) as database:
            database.execute(f"DROP TABLE IF EXISTS {TABLE}, {STAGING} CASCADE".encode())
            for batch in batches:
                write(batch, form, directory)
                psql(script(Dialect.POSTGRESQL, form))
            for name in (TABLE, VIEW):
                assert rows(database.execute(f"SELECT * FROM {name}".encode()).fetchall()) == expected(truth)

    any_order()


@pytest.mark.parametrize("form", [FileFormat.JSONL, FileFormat.CSV])
def test_duckdb_reads_compressed_files_beside_others(form: FileFormat, directory: Path) -> None:
    first, second = (record_of(which) for which in (0, 1))
    write([[first], [second]], form, directory)
    (file,) = (directory / "usage").glob("month=*/*/usage-*")
    with gzip.open(f"{file}.gz", "wb") as packed:
        packed.write(file.read_bytes())
    file.unlink()
    with duckdb.connect() as database:
        database.execute(script(Dialect.DUCKDB, form))
        found = rows(database.execute(f"SELECT * FROM {VIEW}").fetchall())
    assert found == expected({one.record_id: one for one in (first, second)})
