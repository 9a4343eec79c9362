"""A table as CSV, by RFC 4180: a line of names, CRLF, quotes where they are needed, UTF-8.

None is an empty field. Values stay as they are, also those that a spreadsheet would take for a formula: a program
that reads them has to get what was collected. For a spreadsheet there is `xlsx`, whose texts are never formulas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, BinaryIO

from collector.adapters.tabular.values import json_text
from collector.core.columns import Column, Row, Value


class CsvWriter:
    """Writes a table as CSV."""

    def __init__(self, columns: Sequence[Column], stream: BinaryIO) -> None:
        self._stream = stream
        stream.write(csv_lines([[column.name for column in columns]]))

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows."""
        self._stream.write(csv_lines(rows))

    def close(self) -> None:
        """Do nothing: a table has no end of its own."""


def csv_lines(rows: Iterable[Row]) -> bytes:
    """Return rows as lines of CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(map(_field, row) for row in rows)
    return text.getvalue().encode()


def _field(value: Value) -> Any:
    match value:
        case None | str() | int():
            return value
        case date():  # and datetime
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case list() | tuple() | dict():
            return json_text(value)
        case _:
            return str(value)
