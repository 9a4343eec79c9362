"""What a database, or the disk under it, says, in the words of the person who has to do something about it."""

from __future__ import annotations

import os
import sqlite3

from sqlalchemy.exc import DBAPIError

from collector.errors import LedgerError
from collector.ledger.codec import DamagedError

FAILURES = (DBAPIError, sqlite3.Error, OSError, DamagedError)
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
_MENDS = {
    "SQLITE_FULL": "the disk is full: free some space and call again",
    "SQLITE_BUSY": "another process has kept it locked for too long: see what works on it, and call again",
    "SQLITE_LOCKED": "another process has kept it locked for too long: see what works on it, and call again",
    "SQLITE_READONLY": "it is read-only: make the file and its directory writable for this user",
    "SQLITE_PERM": "this user may not use it: make the file and its directory writable for this user",
    "SQLITE_CANTOPEN": "it can't be opened: make the file and its directory writable for this user",
    "SQLITE_IOERR": "the disk can't be read or written: see whether it is full, over quota or failing, and call again",
}


def in_words(error: Exception, where: str) -> LedgerError:
    """Return what went wrong with the ledger and what to do about it."""
    if isinstance(error, DamagedError):
        return damaged(where, str(error))
    if isinstance(error, OSError):
        return LedgerError(f"the ledger {where} can't be used: {os.strerror(error.errno or 0)}")
    origin = getattr(error, "orig", None) or error
    name = str(getattr(origin, "sqlite_errorname", ""))
    if name.startswith(_DAMAGED):
        return damaged(where, str(origin))
    for code, mend in _MENDS.items():
        if name.startswith(code):
            return LedgerError(f"the ledger {where} can't be used: {mend}")
    if isinstance(origin, sqlite3.OperationalError) and "UTF-8" in str(origin):
        return damaged(where, "a text isn't UTF-8")
    return LedgerError(f"the ledger {where} can't be used: {origin}")


def damaged(where: str, how: str) -> LedgerError:
    """Return the error for a ledger that can't be trusted; it is never replaced on our own account."""
    return LedgerError(
        f"the ledger {where} is damaged ({how}): restore a backup of it; or move it away, "
        "with the -wal and -shm beside it, and run `backfill` for the range again"
    )
