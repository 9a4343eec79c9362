"""Where `collector export` writes, and in which format."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import click

from collector.adapters.replaced_files import refuse_as_file, replacing
from collector.adapters.tabular import Format, open_table
from collector.core.columns import Column, Row

_ENDINGS = {f".{form}": form for form in Format} | {".ndjson": Format.JSONL}
_BINARY = (Format.PARQUET, Format.XLSX)
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Destination:
    """A format, None for a table that a person reads; and a file, None for stdout."""

    form: Format | None
    path: Path | None

    @classmethod
    def of(cls, form: str | None, file: str | None, *, at_terminal: bool) -> Self:
        """Return what options mean. Raises UsageError, and ConfigError for a file that can't be written anew."""
        if file is None or file == "-":
            chosen = form or ("table" if at_terminal else Format.CSV)
            if chosen in _BINARY and at_terminal:
                raise click.UsageError(f"{chosen} is not for a terminal: give a file (-o usage.{chosen}), or a pipe")
            return cls(None if chosen == "table" else Format(chosen), None)
        path = Path(file)
        if form == "table":
            raise click.UsageError("a table is for people at a terminal: leave out -o, or write another format")
        by_name = _ENDINGS.get(path.suffix.lower())
        if form is None and by_name is None:
            raise click.UsageError(f"give --format, or a file that ends in {', '.join(_ENDINGS)}")
        if form is not None and by_name not in (None, Format(form)):
            raise click.UsageError(f"--format {form}, and a file that ends in {path.suffix}: leave out one of the two")
        refuse_as_file(path)
        return cls(by_name if form is None else Format(form), path)


def write_table(destination: Destination, columns: Sequence[Column], rows: Iterable[Row]) -> int:
    """Write rows, some at a time; return how many. Raises OutputError, and MissingExtraError for a missing package."""
    if destination.form is None:
        raise ValueError("a table for people is written by `export_tables`")
    written, rest = 0, iter(rows)
    with _stream(destination) as stream, _Whole(stream) as whole:
        table = open_table(destination.form, columns, cast("BinaryIO", whole))
        while piece := list(islice(rest, _ROWS)):
            table.write(piece)
            written += len(piece)
        table.close()
    return written


class _Whole(io.RawIOBase):
    """A stream that takes nothing more after a failure: Parquet would end what is half there as if it were whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: BinaryIO | None = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self._stream is None else self._stream.write(data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stream = None


@contextmanager
def _stream(destination: Destination) -> Iterator[BinaryIO]:
    if destination.path is not None:
        with replacing(destination.path) as stream:
            yield stream
    else:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
