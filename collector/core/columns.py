"""Columns of a table, and the types that their values have in each format.

A table is columns and rows: `collector.adapters.tabular` writes it as CSV, JSON Lines, Parquet or a workbook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

Value = str | int | Decimal | date | datetime | Mapping[str, object] | Sequence[str] | None
Row = Sequence[Value]


class Kind(StrEnum):
    """The type of a column's values. Each may be None: unknown, or not there."""

    TEXT = "text"
    INTEGER = "integer"  # of 64 bits where a format has types; larger sums are `DECIMAL`
    DECIMAL = "decimal"  # exact: up to 38 digits, 9 of them behind the point
    DATE = "date"
    INSTANT = "instant"  # an aware datetime; a format without zones has it in UTC
    LABELS = "labels"  # texts by name
    TEXTS = "texts"  # a list
    JSON = "json"  # anything that JSON has, as a text


class Column(NamedTuple):
    """One column of a table."""

    name: str
    kind: Kind
    description: str = ""
