"""Detect a connection pooler that shares the server's sessions, such as PgBouncer in transaction mode.

It gives a client another session of the server for each transaction. So a lock or a setting of a session is not
that of a process: locks stay behind, and processes seem alive or dead at random. A single process doesn't
notice, since it gets the same session each time. So two connections are compared: while the second is within a
transaction, the first one still has its own session, unless sessions are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psycopg

from collector.ledger.postgresql.session import Session

SHARED = (
    "the URL names a connection pooler that shares sessions, such as PgBouncer in transaction mode, so it doesn't keep "
    "the locks of a process: name the server itself, or let the pooler work in session mode"
)
_PID = "SELECT pg_backend_pid()"


def shares_sessions(first: Session, connect: Callable[[], Session]) -> bool:
    """Return whether a connection shares its session of the server with others. Raises psycopg.Error, LedgerError."""
    own = _pid(first)
    second = connect()
    try:
        second.execute("BEGIN")
        # A pooler with one session can't answer `first` now, so `second` comes first in the expression.
        if shared := _pid(second) == own or _pid(first) != own:
            _undo_settings(second, first)
    finally:
        second.close()
    return shared


def _pid(session: Session) -> int:
    return int(session.execute(_PID).fetchall()[0][0])


def _undo_settings(second: Session, first: Session) -> None:
    """Reset what `session.connect` has set in sessions that belong to others too."""
    with suppress(psycopg.Error):
        second.execute("RESET ALL")
        second.execute("COMMIT")
        first.execute("RESET ALL")
