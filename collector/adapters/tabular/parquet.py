"""A table as Parquet: typed columns, instants in UTC, labels as a map, row groups of a size that readers like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO

from collector.adapters.tabular.extras import extra
from collector.adapters.tabular.values import json_text
from collector.core.columns import Column, Kind, Row, Value
from collector.errors import OutputError

with extra("parquet", "Parquet"):
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 65_536  # rows: some 20 MB in memory
_BATCH = 4096  # rows; it divides a row group

_TYPES: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.DECIMAL: pa.decimal128(38, 9),
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.LABELS: pa.map_(pa.string(), pa.string()),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.JSON: pa.string(),
}


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of columns; descriptions are metadata of its fields."""
    return pa.schema(
        [
            pa.field(
                column.name,
                _TYPES[column.kind],
                metadata={"description": column.description} if column.description else None,
            )
            for column in columns
        ]
    )


class ParquetWriter:
    """Writes a table as Parquet. A file without its footer, which `close` writes, can't be read."""

    def __init__(self, columns: Sequence[Column], stream: BinaryIO) -> None:
        self._columns = columns
        self._schema = arrow_schema(columns)
        self._rows: list[Row] = []
        self._batches: list[pa.RecordBatch] = []  # of the row group
        self._gathered = 0  # rows in them
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")

    def write(self, rows: Iterable[Row]) -> None:
        """Take rows; write them when a row group is full."""
        for row in rows:
            self._rows.append(row)
            if len(self._rows) >= _BATCH:
                self._gather()

    def close(self) -> None:
        """Write the rest and the footer."""
        try:
            if self._rows:
                self._gather()
            self._write_group()
        finally:
            try:
                self._writer.close()
            finally:
                self._writer.is_open = False  # else it closes itself later, and writes to a stream that is closed

    def _gather(self) -> None:
        """Turn rows into Arrow's arrays, which take a tenth of the memory."""
        values = zip(*self._rows, strict=True)
        arrays = [_array(column, list(of)) for column, of in zip(self._columns, values, strict=True)]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._gathered += len(self._rows)
        self._rows = []
        if self._gathered >= ROW_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        if self._batches:
            table = pa.Table.from_batches(self._batches, schema=self._schema)
            self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._batches, self._gathered = [], 0


def _array(column: Column, values: Sequence[Value]) -> pa.Array:
    plain: Sequence[object] = values
    if column.kind is Kind.LABELS:
        plain = [list(value.items()) if isinstance(value, dict) else value for value in values]
    elif column.kind is Kind.JSON:
        plain = [None if value is None else json_text(value) for value in values]
    try:
        return pa.array(plain, type=_TYPES[column.kind])
    except (pa.ArrowInvalid, OverflowError) as error:
        raise OutputError(f"Parquet has no value as large as one in the column {column.name}: write CSV") from error
