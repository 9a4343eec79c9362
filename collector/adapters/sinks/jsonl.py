"""Convert records to JSON Lines.

The records of a slice follow each other, and share all fields but nine: these are encoded once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date
from operator import itemgetter
from typing import Any

import orjson

from collector.core.visible import visible
from collector.model import Quality, Record

_LINE = (
    b'{"record_id":%b,"revision":%d,%b,"product":%b,%b,'
    b'"total_tests":%b,"total_duration":%b,"total_screenshots":%b,%b,"quality":%b,"anomalies":%b,%b%b}\n'
)
_SHARED = (
    ("org", "org_id", "org_name", "labels", "population"),
    ("granularity", "timezone", "window_date", "window_start", "window_end"),
    ("org_users",),
    ("collected_at", "run_id"),
)
_QUALITIES = {quality: orjson.dumps(quality) for quality in Quality}


def _values_of(names: Sequence[str]) -> Callable[[Record], tuple[Any, ...]]:
    return itemgetter(*map(Record._fields.index, names))


_shared_values = _values_of([name for group in _SHARED for name in group])


def to_lines(records: Sequence[Record]) -> bytes:
    """Return the records as JSON Lines in UTF-8, one line each; `extra` only where there is any."""
    lines, shared, parts = [], None, (b"",) * len(_SHARED)
    for record in records:
        if (values := _shared_values(record)) != shared:
            shared, parts = values, tuple(_fields(record, names) for names in _SHARED)
        line = _LINE % (
            orjson.dumps(record.record_id),
            record.revision,
            parts[0],
            orjson.dumps(record.product),
            parts[1],
            _number(record.total_tests),
            _number(record.total_duration),
            _number(record.total_screenshots),
            parts[2],
            _QUALITIES[record.quality],
            orjson.dumps(list(record.anomalies)) if record.anomalies else b"[]",
            parts[3],
            b',"extra":' + orjson.dumps(dict(record.extra)) if record.extra is not None else b"",
        )
        lines.append(line)
    return visible(b"".join(lines))


def _fields(record: Record, names: Sequence[str]) -> bytes:
    """Return fields of a record as they stand in its line."""
    values = {name: _encodable(name, getattr(record, name)) for name in names}
    return orjson.dumps(values)[1:-1]


def _encodable(name: str, value: Any) -> object:
    if name == "collected_at":
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()  # with the zone's offset, where orjson writes Z
    return dict(value) if name == "labels" else value


def _number(value: int | None) -> bytes:
    return b"null" if value is None else b"%d" % value
