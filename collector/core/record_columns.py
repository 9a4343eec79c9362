"""The columns of records in every format that has columns: `Record`'s fields, with the types that a table needs."""

from __future__ import annotations

from datetime import date, datetime
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from collector.core.columns import Column, Kind
from collector.core.record_schema import DESCRIPTIONS
from collector.model import Record

_SIMPLE: dict[Any, Kind] = {int: Kind.INTEGER, date: Kind.DATE, datetime: Kind.INSTANT}


def _kind(hint: Any) -> Kind:
    """Return the kind of a field's type; None beside another type changes nothing."""
    options = [option for option in get_args(hint) if option is not NoneType]
    if NoneType in get_args(hint):
        (hint,) = options
    if isinstance(hint, type) and issubclass(hint, str):
        return Kind.TEXT
    if get_origin(hint) is None:
        return _SIMPLE[hint]
    if len(get_args(hint)) == 1:
        return Kind.TEXTS
    return Kind.LABELS if get_args(hint)[1] is str else Kind.JSON


def _columns() -> tuple[Column, ...]:
    hints = get_type_hints(Record)
    return tuple(Column(name, _kind(hints[name]), DESCRIPTIONS[name]) for name in Record._fields)


RECORD_COLUMNS = _columns()
