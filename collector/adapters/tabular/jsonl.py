"""A table as JSON Lines: one object for each row, with the columns' names as keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO

from collector.adapters.tabular.values import json_bytes
from collector.core.columns import Column, Row


class JsonlWriter:
    """Writes a table as JSON Lines."""

    def __init__(self, columns: Sequence[Column], stream: BinaryIO) -> None:
        self._names = [column.name for column in columns]
        self._stream = stream

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows."""
        lines = [json_bytes(dict(zip(self._names, row, strict=True))) + b"\n" for row in rows]
        self._stream.write(b"".join(lines))

    def close(self) -> None:
        """Do nothing: a table has no end of its own."""
