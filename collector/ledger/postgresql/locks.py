"""The liveness check for processes on any machine: an advisory lock of a server session.

Each process holds an advisory lock in a session of its own. The server releases the lock when the
session ends, so no machine's clock is involved. A thread watches the session: if it breaks while the
process is alive, the thread acquires the lock again, within a second or two.

A process without a lock is dead, with one exception. When the server restarts or fails over, all
sessions break at once. So a process that acquired its lock before the restart has REACQUIRE_S to
acquire it again, by the server's clock, from when another process first notices that it is missing.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg
from sqlalchemy import Connection, bindparam, text, update

from collector.errors import LedgerError
from collector.ledger import schema
from collector.ledger.holders import HolderRow
from collector.ledger.postgresql.session import Session

REACQUIRE_S = 20
_CHECK_EVERY_S = 10.0
_RETRY_AFTER_S = 0.5
_SERVER = "SELECT extract(epoch FROM pg_postmaster_start_time())::text"
_NOW = text(
    "SELECT extract(epoch FROM pg_postmaster_start_time())::text, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)
_LOCKED_KEYS = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
    "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_UPDATE_ROW = "UPDATE holder SET server = %s, missed_since = NULL WHERE holder_id = %s"


class SessionLock:
    """An advisory lock for each living process (`holders.Liveness`)."""

    def __init__(self, key_of: Callable[[str], int], connect: Callable[[], Session]) -> None:
        self._key_of = key_of
        self._connect = connect
        self._holder_id = ""
        self._session: Session | None = None
        self._guard = threading.Lock()  # protects the session
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None
        self._wake_up: socket.socket | None = None  # closing it wakes the watcher

    def begin(self, holder_id: str) -> str:
        """Acquire the lock and watch its session; return the start time of the server that holds it."""
        with self._guard:
            server = self._server_start() if self._holder_id == holder_id else None
            self._holder_id = holder_id
            server = server or self._acquire()
        if server is None:
            raise LedgerError(f"another process uses the ledger with the same id ({holder_id})")
        if self._watcher is None:
            wake_up, self._wake_up = socket.socketpair()
            self._watcher = threading.Thread(target=self._watch, args=(wake_up,), name="ledger-lock", daemon=True)
            self._watcher.start()
        return server

    def find_dead(self, tx: Connection, others: Sequence[HolderRow]) -> list[str]:
        """Return the ids of those without a lock, except those that may still acquire it again.

        Locks are read after the rows: a lock that was acquired again in between is found.
        """
        unlocked = self._unlocked(tx, others)
        if not unlocked:
            return []
        server, now = tx.execute(_NOW).one()
        new = [other.holder_id for other in unlocked if other.server != server and other.missed_since is None]
        if new:
            rows = schema.holder.c
            chosen = (rows.holder_id.in_(new), rows.server.is_distinct_from(bindparam("now_server", server)))
            tx.execute(update(schema.holder).where(*chosen).values(missed_since=now))
        return [other.holder_id for other in unlocked if not _may_return(other, server, now)]

    def dead(self, tx: Connection, others: Sequence[HolderRow]) -> list[str]:
        """Return the ids of those without a lock, except those that may still acquire it again."""
        unlocked = self._unlocked(tx, others)
        if not unlocked:
            return []
        server, now = tx.execute(_NOW).one()
        return [other.holder_id for other in unlocked if not _may_return(other, server, now)]

    def _unlocked(self, tx: Connection, others: Sequence[HolderRow]) -> list[HolderRow]:
        if not others:
            return []
        locked = set(tx.scalars(_LOCKED_KEYS))
        return [other for other in others if self._key_of(other.holder_id) not in locked]

    def end(self) -> None:
        """Release the lock. If the thread is just connecting, it releases the lock when it is done."""
        self._ended.set()
        if self._wake_up is not None:
            self._wake_up.close()
        if self._guard.acquire(timeout=1.0):
            self._close()
            self._guard.release()
        if self._watcher is not None:
            self._watcher.join(1.0)

    def abandon(self) -> None:
        """Release the lock at once, as the server does for a killed process a little later."""
        with self._guard, suppress(psycopg.Error):
            if self._session is not None:
                self._session.execute("SELECT pg_advisory_unlock_all()")
        self.end()

    def _watch(self, wake_up: socket.socket) -> None:
        while not self._ended.is_set():
            # A session that ends becomes readable. So does `wake_up` when `end` is called.
            poll, wait_s = select.poll(), _RETRY_AFTER_S
            poll.register(wake_up, select.POLLIN)
            with self._guard, suppress(psycopg.Error):
                if self._session is not None:
                    poll.register(self._session.fileno(), select.POLLIN)
                    wait_s = _CHECK_EVERY_S
            poll.poll(wait_s * 1000)
            with self._guard:
                if not self._ended.is_set() and self._server_start() is None:
                    self._reacquire()
                if self._ended.is_set():
                    self._close()
        wake_up.close()

    def _server_start(self) -> str | None:
        """Return the start time of the server that holds the lock; None if the session has ended."""
        if self._session is None:
            return None
        try:
            return str(self._session.execute(_SERVER).fetchall()[0][0])
        except psycopg.Error:
            self._close()
            return None

    def _acquire(self) -> str | None:
        """Open a session and acquire the lock in it; None if another session holds it."""
        session = self._connect()
        try:
            (acquired,) = session.execute(
                "SELECT pg_try_advisory_lock(%s)", [self._key_of(self._holder_id)]
            ).fetchall()[0]
            server = str(session.execute(_SERVER).fetchall()[0][0])
        except BaseException:
            session.close()
            raise
        if not acquired:
            session.close()
            return None
        self._session = session
        return server

    def _reacquire(self) -> None:
        """Try to acquire the lock again. If our row was deleted meanwhile, the next transaction finds that out."""
        with suppress(psycopg.Error, LedgerError):
            server = self._acquire()
            if server is not None and self._session is not None:
                self._session.execute(_UPDATE_ROW, [server, self._holder_id])

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _may_return(other: HolderRow, server: str, now: int) -> bool:
    """Return whether a process that lost its lock with a restart of the server still has time to acquire it again."""
    since = other.missed_since
    return other.server != server and (since is None or now - since < REACQUIRE_S * 1_000_000)
