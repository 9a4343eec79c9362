"""The session for transactions on the ledger: kept open, and opened again after the server was unreachable.

Writing transactions run one after the other: each first takes an advisory lock, which ends with the
transaction. So no other process changes what a transaction has read, as in SQLite, and there are no
deadlocks. Owns how a transaction begins, and how long the code waits for a server. Knows no table but
those that it creates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event, pool, text
from sqlalchemy.schema import CreateSchema

from collector.errors import LedgerError
from collector.ledger import versions
from collector.ledger.database import PATIENCE_S
from collector.ledger.postgresql.dsn import Dsn
from collector.ledger.postgresql.failures import (
    FAILURES,
    ends_session,
    gone,
    is_starting,
    is_temporary,
    to_ledger_error,
)
from collector.ledger.postgresql.locks import SessionLock
from collector.ledger.postgresql.pooler import SHARED, shares_sessions
from collector.ledger.postgresql.session import Session, connect
from collector.ledger.schema import metadata

T = TypeVar("T")
_RETRY_AFTER_S = 0.25
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({key})"


class PostgresDatabase:
    """One open ledger (`database.Database`)."""

    across_machines = True

    def __init__(self, dsn: Dsn, *, durable: bool, patience_s: float) -> None:
        self.where = str(dsn)
        self.liveness = SessionLock(dsn.lock_key, partial(connect, dsn, lock_timeout_s=patience_s))
        self._dsn = dsn
        self._connect = partial(connect, dsn, durable=durable, lock_timeout_s=patience_s)
        self._patience_s = patience_s
        self._write = _WRITE.format(key=dsn.lock_key("write"))
        self._begin = ""
        self._gave_up = False
        self.migrated: versions.Migration | None = None
        # Statement parameters must not appear in logs.
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=pool.NullPool,
            hide_parameters=True,
            use_native_hstore=False,
        )
        event.listen(self._engine, "begin", self._on_begin)
        self._connection: Connection | None = None

    @classmethod
    def open(cls, dsn: Dsn, *, durable: bool, patience_s: float = PATIENCE_S, create: bool = True) -> PostgresDatabase:
        """Open the ledger; migrate an older one; create a missing one if `create` is set. Raises LedgerError."""
        database = cls(dsn, durable=durable, patience_s=patience_s)
        try:
            database._connect_first()
            version = database.read(versions.version_of)
            if version is None and not create:
                raise gone(database.where)
            if version is None or versions.is_older(version, database.where):
                database.migrated = database.write(database._create_or_migrate)
        except BaseException:
            database.liveness.end()
            database.close()
            raise
        return database

    @classmethod
    def open_to_read(cls, dsn: Dsn, *, older: bool = False) -> PostgresDatabase | None:
        """Open the ledger if it exists; one of an older version only if `older` is set. Raises LedgerError."""
        database = cls(dsn, durable=True, patience_s=PATIENCE_S)
        try:
            database._connect_first()
            version = database.read(versions.version_of)
            if version is not None:
                if not (versions.is_older(version, database.where) and older):
                    versions.require_current(version, database.where)
                return database
        except BaseException:
            database.close()
            raise
        database.close()
        return None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read-only transaction that sees one consistent state of the ledger."""
        return self._transaction(_READ, work, self._patience_s)

    def write(self, work: Callable[[Connection], T], *, patient: bool = True) -> T:
        """Run `work` in the only transaction that writes at that time, and commit all of it or nothing."""
        return self._transaction(self._write, work, self._patience_s if patient else 0.0)

    def close(self) -> None:
        """End the session."""
        self._close_session()
        self._engine.dispose()

    def _transaction(self, begin: str, work: Callable[[Connection], T], patience_s: float) -> T:
        """Run the work, and repeat it while the server is unreachable.

        After one wait without success, later transactions don't wait until the server has answered again.
        """
        until = time.monotonic() + (0.0 if self._gave_up else patience_s)
        while True:
            self._begin = begin
            try:
                self._connection = self._connection or self._engine.connect()
                with self._connection.begin():
                    result = work(self._connection)
                self._gave_up = False
                return result
            except FAILURES as error:
                if ends_session(error):
                    self._close_session()
                if not is_temporary(error) or time.monotonic() >= until:
                    self._gave_up = is_temporary(error)
                    raise to_ledger_error(error, self.where, self._dsn.schema) from error
            time.sleep(_RETRY_AFTER_S)

    def _connect_first(self) -> None:
        """Connect for the first time. Wait only for a server that is starting."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                self._connection = self._engine.connect()
                shared = shares_sessions(_driver_of(self._connection), self._connect)
            except FAILURES as error:
                if not is_starting(error) or time.monotonic() >= until:
                    raise to_ledger_error(error, self.where, self._dsn.schema) from error
            else:
                if shared:
                    raise LedgerError(f"the ledger {self.where} can't be used: {SHARED}")
                return
            self._close_session()
            time.sleep(_RETRY_AFTER_S)

    def _on_begin(self, connection: Connection) -> None:
        driver = _driver_of(connection)
        try:
            driver.execute(self._begin)
        except BaseException:  # SQLAlchemy's transaction began without the write lock
            with suppress(*FAILURES):
                driver.rollback()
            raise

    def _create_or_migrate(self, tx: Connection) -> versions.Migration | None:
        """Create the tables, or migrate them to our version. Another process may already have done so."""
        schema = self._dsn.schema
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        version = versions.version_of(tx)
        if version is None:
            found = text("SELECT true FROM pg_namespace WHERE nspname = :name")
            if tx.scalar(found, {"name": schema}) is None:
                tx.execute(CreateSchema(schema))
            existing = text("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:name)::oid")
            if foreign := set(tx.scalars(existing, {"name": schema})) & metadata.tables.keys():
                raise LedgerError(
                    f"the schema {schema!r} of {self.where} has a table {min(foreign)!r} of another "
                    "application: name another schema with ?schema=… in state.url"
                )
        if version is not None and not versions.is_older(version, self.where):
            return None
        versions.migrate(tx)
        if version is None:
            return None
        return versions.Migration(where=self.where, from_=version, to=versions.KNOWN[-1], copy=None)

    def _close_session(self) -> None:
        """Close the session, in whatever state it is."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAILURES):  # the connection is lost
                connection.invalidate()
                connection.close()


def _driver_of(connection: Connection) -> Session:
    driver: Session | None = connection.connection.driver_connection
    if driver is None:
        raise RuntimeError("a transaction was begun on a closed connection")
    return driver
