"""Read sealed files of any layout back as JSON Lines: the very records that they were converted from."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson

from collector.adapters.sinks.files import OutputFiles
from collector.adapters.sinks.sealing import names_below
from collector.adapters.tabular.compression import decompress
from collector.adapters.tabular.extras import extra
from collector.core.columns import Kind
from collector.core.layout import RecordFormat, RecordsName
from collector.core.record_columns import record_columns
from collector.core.visible import visible
from collector.model import Record, Zone

_COLLECTED_AT = "%Y-%m-%dT%H:%M:%S.%fZ"
_MOST = 2**31 - 1  # characters of a field: what was collected may be as long as it likes


def json_lines_of(name: str, content: bytes) -> bytes:
    """Return the records of a sealed file as JSON Lines; its name says how it is written.

    Raises ValueError if it is damaged, and MissingExtraError.
    """
    found = RecordsName.of(name)
    if found is None:
        raise ValueError(f"{name} is not the name of a file of records")
    plain = decompress(content, found.layout.compression)
    match found.layout.format:
        case RecordFormat.JSONL:
            return plain
        case RecordFormat.CSV:
            return _lines(map(_of_csv, _csv_rows(plain)))
        case RecordFormat.PARQUET:
            return _lines(map(_of_parquet, _parquet_rows(plain)))
        case RecordFormat.SINGER:
            raise ValueError(f"{name} can't be a file: Singer's messages go to stdout only")


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """Reads the files of a directory and of its partitions. Each raises OSError."""

    files: OutputFiles

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory, and those in its partitions, with their directories; none without it."""
        return list(names_below(self.files, path))

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None if it is missing."""
        return self.files.read(path)

    def records(self, path: Path) -> bytes | None:
        """Return the records of a sealed file as JSON Lines; None if it is missing. Raises as `json_lines_of`."""
        content = self.files.read(path)
        return None if content is None else json_lines_of(path.name, content)


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return visible(b"".join(orjson.dumps(record) + b"\n" for record in records))


def _csv_rows(content: bytes) -> Iterable[dict[str, str]]:
    try:
        limit = csv.field_size_limit(_MOST)
        try:
            return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        finally:
            csv.field_size_limit(limit)
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error


def _parquet_rows(content: bytes) -> Iterable[dict[str, Any]]:
    with extra("parquet", "Parquet"):
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415
    try:
        return pq.read_table(io.BytesIO(content)).to_pylist()  # type: ignore[no-any-return]
    except pa.ArrowException as error:
        raise ValueError(f"it is no Parquet: {error}") from error


def _of_csv(row: Mapping[str, str]) -> dict[str, Any]:
    try:
        return _record({name: _CSV[name](row[name]) for name in Record._fields})
    except (KeyError, TypeError) as error:
        raise ValueError("a row is no record") from error


def _of_parquet(row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        zone = _zone(row["timezone"])
        values = {
            name: value.astimezone(zone).isoformat() if isinstance(value := row[name], datetime) else value
            for name in Record._fields
        }
        values["collected_at"] = row["collected_at"].astimezone(UTC).strftime(_COLLECTED_AT)
        values["labels"] = dict(row["labels"])
        values["extra"] = None if row["extra"] is None else orjson.loads(row["extra"])
        return _record(
            {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a row is no record") from error


def _record(values: dict[str, Any]) -> dict[str, Any]:
    """Return a record as its line has it: without `extra` if there is none."""
    if values["extra"] is None:
        del values["extra"]
    return values


def _zone(name: str) -> Any:
    try:
        return Zone.parse(name).tz
    except ValueError:  # rules of another version: the instant is right, only its offset isn't the zone's
        return UTC


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text else None


_CSV = {
    column.name: {
        Kind.INTEGER: _or_none(int),
        Kind.LABELS: _or_none(orjson.loads),
        Kind.TEXTS: _or_none(orjson.loads),
        Kind.JSON: _or_none(orjson.loads),
    }.get(column.kind, str)
    for column in record_columns()
}
