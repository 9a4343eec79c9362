"""Failures of SQLite and of the disk, as messages that say what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from collector import disk
from collector.errors import LedgerError, kind_of, place_of
from collector.ledger.codec import DamagedError

FAILURES = (DBAPIError, sqlite3.Error, OSError, DamagedError)
_DAMAGED = {  # SQLite's own text may hold a value of a row
    "SQLITE_CORRUPT": "its content is malformed",
    "SQLITE_NOTADB": "it is not a database",
    "SQLITE_FORMAT": "its format is unknown",
}
_DENIED = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")
_FIXES = {
    "SQLITE_FULL": "the disk is full: free some space, then run again",
    "SQLITE_BUSY": "another process kept it locked for too long: check which process uses it, then run again",
    "SQLITE_LOCKED": "another process kept it locked for too long: check which process uses it, then run again",
    "SQLITE_READONLY": f"it is read-only: {disk.WRITABLE}",
    "SQLITE_PERM": f"this user has no permission: {disk.WRITABLE}",
    "SQLITE_CANTOPEN": f"it can't be opened: {disk.WRITABLE}",
    "SQLITE_IOERR_SHMMAP": f"its file system can't {disk.Ability.SHARE_MEMORY}: use a local disk",
    "SQLITE_IOERR": "the disk can't be read or written: check whether it is full, over quota or failing, "
    "then run again",
}


def to_ledger_error(error: Exception, where: str) -> LedgerError:
    """Return the failure as an error that says what to do. `where` is the path of the ledger."""
    if isinstance(error, DamagedError):
        return damaged(where, str(error))
    if isinstance(error, OSError):
        return LedgerError(f"the ledger {where} can't be used: {disk.reason_of(error)}")
    origin = getattr(error, "orig", None) or error
    name = str(getattr(origin, "sqlite_errorname", ""))
    for code, what in _DAMAGED.items():
        if name.startswith(code):
            return damaged(where, what)
    if name.startswith(_DENIED) and (refused := denied(Path(where))):
        return to_ledger_error(refused, where)
    for code, fix in _FIXES.items():
        if name.startswith(code):
            return LedgerError(f"the ledger {where} can't be used: {fix}")
    if isinstance(origin, sqlite3.OperationalError) and "UTF-8" in str(origin):
        return damaged(where, "a text value isn't UTF-8")
    return LedgerError(f"the ledger {where} can't be used: {name or kind_of(origin)} at {place_of(error)}")


def damaged(where: str, reason: str) -> LedgerError:
    """Return the error for a damaged ledger. The collector never replaces a damaged ledger by itself."""
    return LedgerError(
        f"the ledger {where} is damaged ({reason}): restore a backup of it; or move it away, "
        "with the -wal and -shm beside it, and run `backfill --adopt` for the range: the new ledger takes over the "
        "output directory, with the revisions of the files in it"
    )


def replaced(where: str, now: object | None) -> LedgerError:
    """Return the error for a ledger whose file isn't the one any more that was opened; `now` is None if it is gone."""
    if now is None:
        return LedgerError(
            f"the ledger {where} was removed while this process used it. Nothing is committed since then. Put it back, "
            "or restore a backup (docs/runbook.md), then run again: the run takes over what the output directory has. "
            "Without a backup, the next command with `--adopt` begins a new ledger; restart the service for that"
        )
    return LedgerError(
        f"the ledger {where} was replaced by another file while this process used it, as by a restored backup. Nothing "
        "is committed since then. Run again: the run uses the new file, and takes over what the output directory has. "
        "Before you restore a ledger, stop its processes"
    )


def denied(path: Path) -> OSError | None:
    """Return an error for the first file of the ledger that this process may not write: SQLite doesn't name it."""
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), path.parent):
        if file.exists() and not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
            read_only = os.statvfs(file).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            return OSError(number, os.strerror(number), str(file))
    return None
