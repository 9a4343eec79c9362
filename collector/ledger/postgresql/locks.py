"""How a process tells that another lives, where they may be on any machine: a lock of a session.

Each holds an advisory lock on a session of its own for as long as it lives; the server lets go of
it when that session ends, so that no clock of any machine is involved. A thread of each watches
its session: if it breaks while the process lives, the lock is taken again, within a second or two.

Who holds no lock is dead, with one exception: where the server started anew, or another took
its place, everybody's session broke at once. Who took its lock with another start of the server
has COME_BACK_S to take it again, by that server's clock, from when it is first missed.
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
from collector.ledger.holders import Seen
from collector.ledger.postgresql.session import Session

COME_BACK_S = 20
_BEAT_S = 10.0
_AGAIN_S = 0.5
_SERVER = "SELECT extract(epoch FROM pg_postmaster_start_time())::text"
_NOW = text(
    "SELECT extract(epoch FROM pg_postmaster_start_time())::text, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)
_HELD = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
    "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_BACK = "UPDATE holder SET server = %s, missed_since = NULL WHERE holder_id = %s"


class SessionLock:
    """A lock of the server for each living process (`holders.Liveness`)."""

    def __init__(self, key_of: Callable[[str], int], connect: Callable[[], Session]) -> None:
        self._key_of = key_of
        self._connect = connect
        self._holder_id = ""
        self._session: Session | None = None
        self._guard = threading.Lock()  # of the session
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None
        self._bell: socket.socket | None = None  # wakes the watcher

    def begin(self, holder_id: str) -> str:
        """Take the lock, and watch over it; return by which start of the server it is held."""
        with self._guard:
            server = self._held() if self._holder_id == holder_id else None
            self._holder_id = holder_id
            server = server or self._take()
        if server is None:
            raise LedgerError(f"the ledger is in use by another process under the name {holder_id}")
        if self._watcher is None:
            ear, self._bell = socket.socketpair()
            self._watcher = threading.Thread(target=self._watch, args=(ear,), name="ledger-lock", daemon=True)
            self._watcher.start()
        return server

    def dead(self, tx: Connection, others: Sequence[Seen]) -> list[str]:
        """Return who holds no lock. The rows were read before: who took its lock again meanwhile is seen here."""
        if not others:
            return []
        held = set(tx.scalars(_HELD))
        silent = [other for other in others if self._key_of(other.holder_id) not in held]
        if not silent:
            return []
        server, now = tx.execute(_NOW).one()
        missed = [other for other in silent if other.server != server]
        new = [other.holder_id for other in missed if other.missed_since is None]
        if new:
            rows = schema.holder.c
            chosen = (rows.holder_id.in_(new), rows.server.is_distinct_from(bindparam("now_server", server)))
            tx.execute(update(schema.holder).where(*chosen).values(missed_since=now))
        waited_for = {
            other.holder_id
            for other in missed
            if other.missed_since is None or now - other.missed_since < COME_BACK_S * 1_000_000
        }
        return [other.holder_id for other in silent if other.holder_id not in waited_for]

    def end(self) -> None:
        """Let go of the lock. A thread that is just connecting anew does so when it is through."""
        self._over.set()
        if self._bell is not None:
            self._bell.close()
        if self._guard.acquire(timeout=1.0):
            self._let_go()
            self._guard.release()
        if self._watcher is not None:
            self._watcher.join(1.0)

    def drop(self) -> None:
        """Let go of the lock at once: what the kernel does for one that is killed, a little later."""
        with self._guard, suppress(psycopg.Error):
            if self._session is not None:
                self._session.execute("SELECT pg_advisory_unlock_all()")
        self.end()

    def _watch(self, ear: socket.socket) -> None:
        while not self._over.is_set():
            # A session that ends becomes readable; so does the ear, when it is over.
            poll, wait_s = select.poll(), _AGAIN_S
            poll.register(ear, select.POLLIN)
            with self._guard, suppress(psycopg.Error):
                if self._session is not None:
                    poll.register(self._session.fileno(), select.POLLIN)
                    wait_s = _BEAT_S
            poll.poll(wait_s * 1000)
            with self._guard:
                if not self._over.is_set() and self._held() is None:
                    self._take_again()
                if self._over.is_set():
                    self._let_go()
        ear.close()

    def _held(self) -> str | None:
        """Return by which start of the server the lock is held, or None, and no session, if that has ended."""
        if self._session is None:
            return None
        try:
            return str(self._session.execute(_SERVER).fetchall()[0][0])
        except psycopg.Error:
            self._let_go()
            return None

    def _take(self) -> str | None:
        """Open a session and take the lock in it; None if another session holds it."""
        session = self._connect()
        try:
            (taken,) = session.execute("SELECT pg_try_advisory_lock(%s)", [self._key_of(self._holder_id)]).fetchall()[0]
            server = str(session.execute(_SERVER).fetchall()[0][0])
        except BaseException:
            session.close()
            raise
        if not taken:
            session.close()
            return None
        self._session = session
        return server

    def _take_again(self) -> None:
        """Try to be back. Our row may be gone by now: then it stays so, and whoever asks for it hears of it."""
        with suppress(psycopg.Error, LedgerError):
            server = self._take()
            if server is not None and self._session is not None:
                self._session.execute(_BACK, [server, self._holder_id])

    def _let_go(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
