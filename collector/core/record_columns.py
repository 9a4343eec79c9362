"""The columns of records, for formats that have columns: the fields of a `Record` in their order, and no others.

`labels` is one column. Labels that are asked for have a column of their own as well, behind the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from types import NoneType
from typing import Any, get_args, get_type_hints

from collector.core.columns import Column, Kind, Row
from collector.core.record_schema import DESCRIPTIONS
from collector.model import Record

LABEL = "label_"  # the beginning of the name of a label's column
_KINDS: Mapping[object, Kind] = {
    int: Kind.INTEGER,
    date: Kind.DATE,
    datetime: Kind.INSTANT,
    Mapping[str, str]: Kind.LABELS,
    Sequence[str]: Kind.TEXTS,
    Mapping[str, object]: Kind.JSON,
}


def record_columns(labels: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns of records, and those of labels."""
    types = get_type_hints(Record)
    fields = [Column(name, _kind(types[name]), DESCRIPTIONS[name]) for name in Record._fields]
    return (*fields, *(Column(f"{LABEL}{key}", Kind.TEXT, f"The label {key}") for key in labels))


def rows_of(labels: Sequence[str] = (), *, typed: bool) -> Callable[[Mapping[str, Any]], Row]:
    """Return what makes a row of a record that was read from JSON.

    `typed`: dates and instants are values, else the texts that JSON has.
    """
    parsers = [_parser(column.kind) if typed else None for column in record_columns()]
    fields = list(zip(Record._fields, parsers, strict=True))

    def row(record: Mapping[str, Any]) -> Row:
        values = [record.get(name) if parse is None else parse(record[name]) for name, parse in fields]
        return values + [record["labels"].get(key) for key in labels] if labels else values

    return row


def _kind(type_: Any) -> Kind:
    given = [one for one in get_args(type_) if one is not NoneType] if NoneType in get_args(type_) else [type_]
    return _KINDS.get(given[0], Kind.TEXT)


def _parser(kind: Kind) -> Callable[[str], date] | None:
    match kind:
        case Kind.DATE:
            return date.fromisoformat
        case Kind.INSTANT:
            return datetime.fromisoformat
        case _:
            return None
