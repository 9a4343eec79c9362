"""A copy of a ledger in SQLite, made while processes use it: a backup, or the ledger as it was before a migration.

The copy is built under another name, made durable and read again before it gets its name: a kill at any point leaves
no copy or a whole one. It is one file of one consistent state, for its owner only.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from glob import escape
from pathlib import Path

from collector import disk
from collector.errors import LedgerError
from collector.ledger.sqlite.failures import to_ledger_error

Progress = Callable[[int, int], None]  # pages that are copied, and pages in all
_PAGES = 4096  # in one step
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")  # of the copy: the ledger is only read


def make_copy(target: Path, fill: Callable[[Path], None]) -> None:
    """Call `fill` with a temporary path, and rename the result to the target. Raises LedgerError that names it."""
    part = disk.draft_of(target, secrets.token_hex(4))
    try:
        os.close(disk.create_file(part, os.O_RDWR, 0o600))
        fill(part)
        _check(part)
        _sync(part)
        disk.rename(part, target)
    except OSError as error:
        raise LedgerError(f"the copy {target} of the ledger can't be written: {disk.reason_of(error)}") from error
    finally:
        part.unlink(missing_ok=True)


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes left of a copy. The caller makes sure that nobody else makes it now."""
    for leftover in target.parent.glob(f"{escape(disk.draft_prefix(target))}*"):
        leftover.unlink()


def copy_pages(part: Path, source: sqlite3.Connection, *, progress: Progress | None = None) -> None:
    """Copy what a connection reads into a file. Raises OSError if that can't be written, and sqlite3.Error."""

    def step(_status: int, left: int, pages: int) -> None:
        if progress is not None:
            progress(pages - left, pages)

    os.truncate(part, 0)  # a read may be repeated
    with closing(sqlite3.connect(part)) as copy:
        copy.execute("PRAGMA journal_mode = OFF")  # it counts only when it is whole
        copy.execute("PRAGMA synchronous = OFF")
        if not source.in_transaction:
            source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on, all pages are of one state
        try:
            source.backup(copy, pages=_PAGES, progress=step)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in _FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise


def _check(part: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{part.as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise to_ledger_error(error, str(part)) from error
    if found != "ok":
        raise LedgerError(
            f"a copy of the ledger in {part.parent} is damaged ({' '.join(str(found).split())}), and was removed: "
            "check the disk and the ledger (`collector ledger check`)"
        )


def _sync(part: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        disk.sync_file(descriptor)
    finally:
        os.close(descriptor)
