"""A table as a workbook of one sheet, for people: the names stay in sight, columns can be filtered.

Texts are texts, never formulas or links. A number that a spreadsheet would round (it keeps 15 digits) is a text.
Instants are texts with their offset, since a spreadsheet knows no zones.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from collector.adapters.tabular.extras import extra
from collector.adapters.tabular.values import json_text
from collector.core.columns import Column, Kind, Row, Value
from collector.errors import OutputError

with extra("xlsx", "a workbook"):
    import xlsxwriter

MAX_ROWS = 1_048_575  # below the line of names
MAX_TEXT = 32_767
_EXACT = 10**15
_FIRST_YEAR = 1900
_WIDTHS = {Kind.TEXT: 18, Kind.INTEGER: 16, Kind.DECIMAL: 16, Kind.DATE: 12, Kind.INSTANT: 28}


def _forget(sheet: Any, scratch: tempfile.TemporaryDirectory[str]) -> None:
    """Close and remove the file of a sheet's rows: the library does so only when the workbook is closed.

    Rows that can't be written any more, as on a full disk, have failed before: they are not needed.
    """
    with suppress(OSError):
        if sheet.row_data_fh:
            sheet.row_data_fh.close()
    scratch.cleanup()


class WorkbookWriter:
    """Writes a table as a workbook."""

    def __init__(self, columns: Sequence[Column], stream: BinaryIO) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="usage-")  # for rows, which are not kept in memory
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(stream, {**options, "tmpdir": scratch.name})
        self._sheet = self._book.add_worksheet("usage")
        weakref.finalize(self, _forget, self._sheet, scratch)  # also of a workbook that is never ended
        self._dates = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._columns = columns
        self._rows = 0
        bold = self._book.add_format({"bold": True})
        self._sheet.freeze_panes(1, 0)
        for number, column in enumerate(columns):
            self._sheet.set_column(number, number, max(_WIDTHS.get(column.kind, 24), len(column.name) + 3))
        for number, column in enumerate(columns):
            self._sheet.write_string(0, number, column.name, bold)

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows. Raises OutputError if a sheet can't hold them."""
        for row in rows:
            self._rows += 1
            if self._rows > MAX_ROWS:
                raise OutputError(f"a sheet holds {MAX_ROWS} rows: narrow the range, sum with --by, or write CSV")
            for number, value in enumerate(row):
                self._write(number, value)

    def close(self) -> None:
        """Write the workbook: nothing stands in the stream before."""
        self._sheet.autofilter(0, 0, self._rows, len(self._columns) - 1)
        self._book.close()

    def _write(self, number: int, value: Value) -> None:
        sheet, row = self._sheet, self._rows
        match value:
            case None:
                pass
            case str():
                sheet.write_string(row, number, value[:MAX_TEXT])
            case int() | Decimal() if -_EXACT < value < _EXACT:
                sheet.write_number(row, number, float(value))
            case date() if not isinstance(value, datetime) and value.year >= _FIRST_YEAR:
                sheet.write_datetime(row, number, datetime(value.year, value.month, value.day), self._dates)  # noqa: DTZ001
            case date():
                sheet.write_string(row, number, value.isoformat())
            case list() | tuple() | dict():
                sheet.write_string(row, number, json_text(value)[:MAX_TEXT])
            case _:
                sheet.write_string(row, number, str(value))
