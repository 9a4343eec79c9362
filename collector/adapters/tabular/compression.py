"""Streams that compress what is written to them: always the same bytes for the same content."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from collector.adapters.tabular.extras import extra
from collector.core.layout import Compression

_LEVEL = 6  # of gzip


def _zstd() -> Any:
    """Import zstd's module: the standard library's, or its copy for older Pythons."""
    with extra("zstd", "zstd"):
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415

            return zstd
        from backports import zstd as backport  # noqa: PLC0415

        return backport


def require(compression: Compression) -> None:
    """Raise MissingExtraError if the package that it needs isn't installed."""
    if compression is Compression.ZSTD:
        _zstd()


@contextmanager
def compressed(stream: BinaryIO, compression: Compression) -> Iterator[BinaryIO]:
    """Yield a stream that compresses into another one, and end the compression; the other one stays open."""
    match compression:
        case Compression.NONE:
            yield stream
        case Compression.GZIP:
            with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=stream, mtime=0) as file:
                yield cast("BinaryIO", file)
        case Compression.ZSTD:
            with _zstd().ZstdFile(stream, "wb") as file:
                yield file


def compress(content: bytes, compression: Compression) -> bytes:
    """Return content as a whole that can be read alone, and one behind the other."""
    match compression:
        case Compression.NONE:
            return content
        case Compression.GZIP:
            return gzip.compress(content, _LEVEL, mtime=0)
        case Compression.ZSTD:
            whole: bytes = _zstd().compress(content)
            return whole


def decompress(content: bytes, compression: Compression) -> bytes:
    """Return what was compressed. Raises ValueError if it is damaged."""
    match compression:
        case Compression.NONE:
            return content
        case Compression.GZIP:
            try:
                return gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError(f"it is no whole gzip file: {error}") from error
        case Compression.ZSTD:
            zstd = _zstd()
            try:
                plain: bytes = zstd.decompress(content)
            except zstd.ZstdError as error:
                raise ValueError(f"it is no whole zstd file: {error}") from error
            return plain
