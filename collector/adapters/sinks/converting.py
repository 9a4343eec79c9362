"""Convert JSON Lines of records into sealed files of a layout: in pieces, so that any size costs the same memory.

Knows nothing of directories, stores and ledgers: the caller says where files are written.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import orjson

from collector.adapters.tabular import Format, open_table
from collector.adapters.tabular.compression import compressed
from collector.adapters.tabular.compression import require as require_compression
from collector.adapters.tabular.csv import csv_lines
from collector.core.layout import Layout, RecordFormat
from collector.core.record_columns import record_columns, rows_of
from collector.errors import OutputError
from collector.model import Record
from collector.ports import SealedFile

PLAIN = Layout()
_REQUIRED = frozenset(Record._fields) - Record._field_defaults.keys()


def require(layout: Layout) -> None:
    """Raise MissingExtraError if a package that the layout needs isn't installed."""
    require_compression(layout.compression)
    if layout.format is not RecordFormat.JSONL:
        open_table(Format(layout.format), record_columns(), io.BytesIO())


def convert(
    pieces: Iterable[bytes],
    name: str,
    layout: Layout,
    *,
    create: Callable[[str], BinaryIO],
    scratch: Callable[[], BinaryIO],
) -> list[SealedFile]:
    """Write records into files of a layout; return these, by name. `pieces` are JSON Lines, cut anywhere.

    `create` opens a new file, by its name: `name` is the last part, before it are the directories of its partition. The
    file is written from its beginning to its end, and closed. If there is one of that name already, `create` raises
    FileExistsError: two partitions are one directory, as where a file system takes `A` for `a`. The second one gets
    another. `scratch` opens a nameless file that can be read again: partitions are sorted there. The same records
    always give the same files.

    Raises MissingExtraError, OutputError, and OSError as `create`'s streams do.
    """
    lines = whole_lines(pieces)
    if not layout.partition_by:
        return [_write(lines, name, layout, create)]
    with scratch() as sorted_:
        segments = _sort(lines, layout, sorted_)
        return [
            _write_partition(_read(sorted_, where), directory, name, layout, create)
            for directory, where in sorted(segments.items())
        ]


def csv_of(lines: bytes, labels: Sequence[str], *, names: bool) -> bytes:
    """Return JSON Lines of records as lines of CSV, with or without a first one of names."""
    row = rows_of(labels, typed=False)
    head = [[column.name for column in record_columns(labels)]] if names else []
    return csv_lines([*head, *(row(_record(line)) for line in lines.splitlines())])


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield content in pieces of whole lines."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
    if rest:
        yield rest


class _Measured(io.RawIOBase):
    """A stream that notes the size and the digest of what is written through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        self._stream.write(content)
        self.digest.update(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        return self.size


def _write_partition(
    pieces: Iterable[bytes], directory: str, name: str, layout: Layout, create: Callable[[str], BinaryIO]
) -> SealedFile:
    try:
        return _write(pieces, f"{directory}/{name}", layout, create)
    except FileExistsError:  # raised before anything is read
        other = hashlib.sha256(directory.encode()).hexdigest()[:16]
        return _write(pieces, f"{directory}~{other}/{name}", layout, create)


def _write(pieces: Iterable[bytes], name: str, layout: Layout, create: Callable[[str], BinaryIO]) -> SealedFile:
    records = 0
    with create(name) as stream:
        measured = _Measured(stream)
        with compressed(measured, layout.compression) as inner:  # type: ignore[arg-type]
            if layout.format is RecordFormat.JSONL:
                for piece in pieces:
                    inner.write(piece)
                    records += piece.count(b"\n")
            else:
                records = _write_table(pieces, layout, inner)
    return SealedFile(name=name, records=records, bytes=measured.size, sha256=measured.digest.hexdigest())


def _write_table(pieces: Iterable[bytes], layout: Layout, stream: BinaryIO) -> int:
    table = open_table(Format(layout.format), record_columns(layout.labels), stream)
    row, records = rows_of(layout.labels, typed=layout.format is RecordFormat.PARQUET), 0
    try:
        for piece in pieces:
            rows = [row(_record(line)) for line in piece.splitlines()]
            table.write(rows)
            records += len(rows)
    except BaseException:
        with suppress(Exception):  # the first error is raised
            table.close()
        raise
    table.close()
    return records


def _record(line: bytes) -> dict[str, Any]:
    with suppress(ValueError, AttributeError):
        record: dict[str, Any] = orjson.loads(line)
        if record.keys() >= _REQUIRED:
            return record
    raise OutputError(
        "the unsealed file has a line that is no record: another program has changed it. If you remove the file, its "
        "windows are fetched again"
    )


def _sort(pieces: Iterable[bytes], layout: Layout, stream: BinaryIO) -> dict[str, list[tuple[int, int]]]:
    """Write lines by their directories; return where those of each are: offsets and sizes, in order."""
    segments: dict[str, list[tuple[int, int]]] = defaultdict(list)
    offset = 0
    for piece in pieces:
        lines: dict[str, list[bytes]] = defaultdict(list)
        for line in piece.splitlines(keepends=True):
            lines[layout.directory_of(_record(line))].append(line)
        for directory, of in lines.items():
            content = b"".join(of)
            stream.write(content)
            segments[directory].append((offset, len(content)))
            offset += len(content)
    return segments


def _read(stream: BinaryIO, segments: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    for offset, size in segments:
        stream.seek(offset)
        yield stream.read(size)
