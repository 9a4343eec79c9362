"""The outbox: the records of unsealed files, for places that have no files that grow.

A chunk is committed with the slices that it is of, and forgotten with its file. It is compressed JSON Lines. Its key is
where it begins in the file, so that a transaction that runs twice commits it once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, select

from collector.core.ledger_entries import UnsealedFile
from collector.errors import LedgerError
from collector.ledger.codec import DamagedError
from collector.ledger.schema import outbox
from collector.ledger.statements import insert_into

_LEVEL = 3  # zlib: 80 MB/s, and a twelfth of the size


def add(tx: Connection, file: UnsealedFile, lines: bytes) -> None:
    """Add the last lines of a file, as far as it is committed."""
    content = zlib.compress(lines, _LEVEL)
    statement = insert_into(outbox, tx).values(file=file.file_id, start=file.bytes - len(lines), content=content)
    tx.execute(statement.on_conflict_do_update(index_elements=["file", "start"], set_={"content": content}))


def lines_at(tx: Connection, file_id: int, start: int) -> bytes | None:
    """Return the lines of the chunk that begins there; None if none does. Raises DamagedError."""
    content = tx.scalar(select(outbox.c.content).where(outbox.c.file == file_id, outbox.c.start == start))
    return None if content is None else lines_of(content)


def lines_of(content: bytes) -> bytes:
    """Return the lines of a chunk. Raises DamagedError."""
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise DamagedError(f"records in the outbox can't be read: {error}") from None


def all_lines(file: UnsealedFile, read: Callable[[int], bytes | None]) -> Iterator[bytes]:
    """Yield the lines of a file, a chunk at a time. `read` returns those that begin at a byte of the file."""
    start = 0
    while start < file.bytes:
        lines = read(start)
        if not lines:
            raise LedgerError(
                f"the ledger lacks records of the file {file.name}: run `collector ledger check`, and restore a backup "
                "if it is damaged"
            )
        start += len(lines)
        yield lines
