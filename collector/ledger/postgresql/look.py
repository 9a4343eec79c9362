"""A look at whether a ledger in PostgreSQL can be used: the server answers, and this user may write the tables.

Keeps a session of its own, and waits a few seconds at most for a server that doesn't answer.
"""

from __future__ import annotations

from contextlib import suppress

import psycopg

from collector.ledger.postgresql.dsn import Dsn
from collector.ledger.postgresql.failures import FAILURES, denied, ends_session, gone, read_only, to_ledger_error
from collector.ledger.postgresql.session import Session, connect

_SECONDS = 5
_LIMITS = {"connect_timeout": str(_SECONDS), "tcp_user_timeout": str(_SECONDS * 1000)}
_WRITABLE = (
    "SELECT has_table_privilege(to_regclass('slice')::oid, 'INSERT'), current_setting('transaction_read_only') = 'on'"
)


class PostgresLook:
    """Looks at one ledger (`database.Look`)."""

    def __init__(self, dsn: Dsn) -> None:
        self._dsn = dsn
        self._where = str(dsn)
        self._session: Session | None = None

    def __call__(self) -> None:
        """Return if the server answers and the tables can be written. Raises LedgerError."""
        try:
            may_insert, is_read_only = self._ask()
        except FAILURES as error:
            self.close()
            raise to_ledger_error(error, self._where, self._dsn.schema) from error
        if is_read_only:
            raise read_only(self._where)
        if may_insert is None:
            raise gone(self._where)
        if not may_insert:
            raise denied(self._where, self._dsn.schema)

    def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(psycopg.Error):
                session.close()

    def _ask(self) -> tuple[bool | None, bool]:
        """Ask in the session of the last look; if the server has ended it, in a new one."""
        if self._session is not None:
            try:
                return self._answer(self._session)
            except FAILURES as error:
                if not ends_session(error):
                    raise
                self.close()
        self._session = connect(self._dsn, lock_timeout_s=_SECONDS, client=_LIMITS)
        return self._answer(self._session)

    def _answer(self, session: Session) -> tuple[bool | None, bool]:
        ((may_insert, is_read_only),) = session.execute(_WRITABLE).fetchall()
        return may_insert, is_read_only
