"""Tables as CSV, JSON Lines, Parquet and workbooks.

Each format is a `TableWriter`, fed with rows in pieces, so that a table of any length costs the memory of one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from importlib import import_module
from typing import BinaryIO, Protocol

from collector.core.columns import Column, Row


class Format(StrEnum):
    """A format that a table can be written in."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    XLSX = "xlsx"


class TableWriter(Protocol):
    """Writes one table to a stream that belongs to the caller."""

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows, in order: each has a value for each column."""
        ...

    def close(self) -> None:
        """Write what ends the table; without it, a reader may find it damaged."""
        ...


# Modules and their classes: no format pays for what another imports.
_WRITERS = {
    Format.CSV: ("csv", "CsvWriter"),
    Format.JSONL: ("jsonl", "JsonlWriter"),
    Format.PARQUET: ("parquet", "ParquetWriter"),
    Format.XLSX: ("xlsx", "WorkbookWriter"),
}


def open_table(form: Format, columns: Sequence[Column], stream: BinaryIO) -> TableWriter:
    """Return the writer of a format. Raises MissingExtraError if the package that it needs isn't installed."""
    module, name = _WRITERS[form]
    writer: TableWriter = getattr(import_module(f"{__name__}.{module}"), name)(columns, stream)
    return writer
