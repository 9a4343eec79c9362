"""One table in each format, read by the programs that people read it with."""

from __future__ import annotations

import csv
import gc
import io
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas
import polars
import pyarrow.parquet as pq
import pytest

from collector.adapters.tabular import Format, open_table
from collector.adapters.tabular.parquet import ROW_GROUP
from collector.core.columns import Column, Kind, Row
from collector.errors import OutputError

COLUMNS = [
    Column("org", Kind.TEXT, "The org's name"),
    Column("tests", Kind.INTEGER),
    Column("cost", Kind.DECIMAL),
    Column("day", Kind.DATE),
    Column("at", Kind.INSTANT),
    Column("labels", Kind.LABELS),
    Column("anomalies", Kind.TEXTS),
    Column("extra", Kind.JSON),
]
AT = datetime(2026, 6, 23, 10, 20, 3, 123456, timezone(timedelta(hours=-4)))
ROWS: list[Row] = [
    ("=1+1", 2**63 - 1, Decimal("0.10"), date(2026, 6, 23), AT, {"team": "a,b"}, ["shrunk"], {"x": 1}),
    ('a "b"\r\n\u009bc', 0, None, None, None, {}, [], None),
    (None, None, Decimal(7), date(1, 1, 1), AT, None, None, {"y": [1.5]}),
]


def written(form: Format, rows: Sequence[Row] = ROWS, columns: Sequence[Column] = COLUMNS) -> bytes:
    stream = io.BytesIO()
    table = open_table(form, columns, stream)
    table.write(rows[:1])
    table.write(rows[1:])
    table.close()
    return stream.getvalue()


def test_csv_has_a_line_of_names_and_quotes_what_needs_it() -> None:
    content = written(Format.CSV)
    head, *lines = csv.reader(io.StringIO(content.decode(), newline=""))
    assert head == [column.name for column in COLUMNS]
    assert lines == [
        [
            "=1+1",
            "9223372036854775807",
            "0.10",
            "2026-06-23",
            "2026-06-23T10:20:03.123456-04:00",
            '{"team":"a,b"}',
            '["shrunk"]',
            '{"x":1}',
        ],
        ['a "b"\r\n\u009bc', "0", "", "", "", "{}", "[]", ""],
        ["", "", "7", "0001-01-01", "2026-06-23T10:20:03.123456-04:00", "", "", '{"y":[1.5]}'],
    ]
    assert content.startswith(b"org,tests,")
    assert content.endswith(b"\r\n")


def test_json_lines_have_the_names_as_keys_and_steer_no_terminal() -> None:
    content = written(Format.JSONL)
    first, second, third = map(json.loads, content.splitlines())
    assert first == {
        "org": "=1+1",
        "tests": 2**63 - 1,
        "cost": "0.10",
        "day": "2026-06-23",
        "at": "2026-06-23T10:20:03.123456-04:00",
        "labels": {"team": "a,b"},
        "anomalies": ["shrunk"],
        "extra": {"x": 1},
    }
    assert second["org"] == 'a "b"\r\n\u009bc'
    assert "\u009b".encode() not in content
    assert third["org"] is None


def test_parquet_has_types() -> None:
    content = written(Format.PARQUET)
    table = pq.read_table(io.BytesIO(content))
    assert [str(field.type) for field in table.schema] == [
        "string",
        "int64",
        "decimal128(38, 9)",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "map<string, string ('labels')>",
        "list<element: string>",
        "string",
    ]
    assert table.schema.field("org").metadata[b"description"] == b"The org's name"
    rows = table.to_pylist()
    assert rows[0] == {
        "org": "=1+1",
        "tests": 2**63 - 1,
        "cost": Decimal("0.100000000"),
        "day": date(2026, 6, 23),
        "at": AT.astimezone(UTC),
        "labels": [("team", "a,b")],
        "anomalies": ["shrunk"],
        "extra": '{"x":1}',
    }
    assert [row["tests"] for row in rows] == [2**63 - 1, 0, None]


@pytest.mark.parametrize("reader", ["pandas", "polars"])
def test_parquet_is_read_by_others(reader: str) -> None:
    content = io.BytesIO(written(Format.PARQUET))
    read = pandas.read_parquet(content) if reader == "pandas" else polars.read_parquet(content)
    assert list(read["org"])[:2] == ["=1+1", 'a "b"\r\n\u009bc']


def test_parquet_writes_row_groups_of_a_bounded_size() -> None:
    columns = [Column("n", Kind.INTEGER)]
    content = written(Format.PARQUET, [(number,) for number in range(ROW_GROUP + 10)], columns)
    file = pq.ParquetFile(io.BytesIO(content))
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [ROW_GROUP, 10]


def test_a_number_that_parquet_cannot_hold_is_an_error() -> None:
    with pytest.raises(OutputError, match="column n: write CSV"):
        written(Format.PARQUET, [(2**63,)], [Column("n", Kind.INTEGER)])


def test_a_sum_beyond_64_bits_is_exact_where_a_format_can_hold_it() -> None:
    columns = [Column("n", Kind.INTEGER), Column("day", Kind.DATE), Column("ok", Kind.JSON)]
    rows: list[Row] = [(2**70, date(2026, 6, 1), {"x": True}), (-(2**70), None, None)]
    assert [json.loads(line)["n"] for line in written(Format.JSONL, rows, columns).splitlines()] == [2**70, -(2**70)]
    assert b'"day":"2026-06-01","ok":{"x":true}' in written(Format.JSONL, rows, columns)
    assert str(2**70).encode() in written(Format.CSV, rows, columns)
    sheet = openpyxl.load_workbook(io.BytesIO(written(Format.XLSX, rows, columns))).active
    assert sheet is not None
    assert sheet["A2"].value == str(2**70)
    with pytest.raises(OutputError, match="write CSV"):
        written(Format.PARQUET, rows, columns)


def test_a_workbook_has_numbers_dates_and_texts_that_are_no_formulas() -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(written(Format.XLSX))).active
    assert sheet is not None
    head, first, second, _ = list(sheet.iter_rows())
    assert [cell.value for cell in head] == [column.name for column in COLUMNS]
    assert [cell.value for cell in first] == [
        "=1+1",
        "9223372036854775807",
        0.1,
        datetime(2026, 6, 23),  # noqa: DTZ001 - a spreadsheet knows no zones
        "2026-06-23T10:20:03.123456-04:00",
        '{"team":"a,b"}',
        '["shrunk"]',
        '{"x":1}',
    ]
    assert first[0].data_type == "s"
    assert [cell.value for cell in second[1:3]] == [0, None]
    assert sheet.freeze_panes == "A2"


def test_an_empty_table_is_a_table() -> None:
    assert written(Format.CSV, []) == b"org,tests,cost,day,at,labels,anomalies,extra\r\n"
    assert written(Format.JSONL, []) == b""
    assert pq.read_table(io.BytesIO(written(Format.PARQUET, []))).num_rows == 0
    sheet = openpyxl.load_workbook(io.BytesIO(written(Format.XLSX, []))).active
    assert sheet is not None
    assert sheet.max_row == 1


def test_a_workbook_that_is_never_ended_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    table = open_table(Format.XLSX, COLUMNS, io.BytesIO())
    table.write(ROWS)
    assert list(tmp_path.iterdir())
    del table
    gc.collect()
    assert not list(tmp_path.iterdir())
    written(Format.XLSX)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_rows_that_a_full_disk_does_not_take_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the rows is closed when the workbook goes: what isn't written by then has failed before."""
    crashed: list[object] = []
    monkeypatch.setattr("sys.excepthook", lambda *error: crashed.append(error))
    table = open_table(Format.XLSX, [Column("n", Kind.INTEGER)], io.BytesIO())
    sheet = table._sheet  # type: ignore[attr-defined]
    sheet.row_data_fh.close()
    sheet.row_data_fh = sheet.fh = Path("/dev/full").open("w")  # noqa: SIM115
    table.write([(1,), (2,)])
    del table, sheet
    gc.collect()
    assert crashed == []
