"""Convert records to JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date
from typing import Any

import orjson

from collector.core.visible import visible
from collector.model import Record

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
_NAMES = tuple(name for name in Record.__dataclass_fields__ if name not in ("extra", "collected_at"))


def to_lines(records: Sequence[Record]) -> bytes:
    """Return the records as JSON Lines in UTF-8, one line each."""
    return visible(b"".join(orjson.dumps(as_json(record), _iso, _OPTIONS) for record in records))


def as_json(record: Record) -> dict[str, Any]:
    """Return a record's fields in their documented order; `extra` only if it isn't empty."""
    values = {name: getattr(record, name) for name in _NAMES}
    values["collected_at"] = record.collected_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    values["run_id"] = values.pop("run_id")
    values["labels"] = dict(record.labels)
    values["anomalies"] = list(record.anomalies)
    if record.extra is not None:
        values["extra"] = dict(record.extra)
    return values


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a record contains a {type(value).__name__}, which has no JSON form")
