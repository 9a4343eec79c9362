"""The session that works on the ledger: kept while it lasts, opened again when the server was away.

Writing transactions come one after the other: each first takes a lock of the ledger that ends with
it. So what one reads no other changes meanwhile, as on SQLite, and none can meet in a deadlock.
Owns how a transaction begins, and how long a server is waited for. Never knows a table.
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
from collector.ledger.postgresql.dsn import Place
from collector.ledger.postgresql.failures import FAILURES, breaks, in_words, is_starting, passes
from collector.ledger.postgresql.locks import SessionLock
from collector.ledger.postgresql.session import connect
from collector.ledger.schema import metadata

T = TypeVar("T")
_AGAIN_S = 0.25
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({key})"


class PostgresDatabase:
    """One open ledger (`database.Database`)."""

    across_machines = True

    def __init__(self, place: Place, *, durable: bool, patience_s: float) -> None:
        self.where = str(place)
        self.liveness = SessionLock(place.lock_key, partial(connect, place, lock_timeout_s=patience_s))
        self._place = place
        self._patience_s = patience_s
        self._write = _WRITE.format(key=place.lock_key("write"))
        self._begin = ""
        self._in_vain = False
        # Parameters of statements are none of a log's business.
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=partial(connect, place, durable=durable, lock_timeout_s=patience_s),
            poolclass=pool.NullPool,
            hide_parameters=True,
            use_native_hstore=False,
        )
        event.listen(self._engine, "begin", self._on_begin)
        self._connection: Connection | None = None

    @classmethod
    def open(cls, place: Place, *, durable: bool, patience_s: float = PATIENCE_S) -> PostgresDatabase:
        """Open the ledger at a place: a new one is created, an older one migrated. Raises LedgerError."""
        database = cls(place, durable=durable, patience_s=patience_s)
        try:
            database._meet()
            version = database.read(versions.found)
            if version is None or versions.is_older(version, database.where):
                database.write(database._build)
        except BaseException:
            database.liveness.end()
            database.close()
            raise
        return database

    @classmethod
    def exists(cls, place: Place) -> bool:
        """Say whether there is a ledger at a place, of whatever version. Raises LedgerError."""
        database = cls(place, durable=True, patience_s=PATIENCE_S)
        try:
            database._meet()
            return database.read(versions.found) is not None
        finally:
            database.close()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction that sees one state of the ledger and writes nothing."""
        return self._transaction(_READ, work, self._patience_s)

    def write(self, work: Callable[[Connection], T], *, patient: bool = True) -> T:
        """Do something in a transaction that is the only one to write; all of it is committed, or nothing."""
        return self._transaction(self._write, work, self._patience_s if patient else 0.0)

    def close(self) -> None:
        """End the session."""
        self._drop()
        self._engine.dispose()

    def _transaction(self, begin: str, work: Callable[[Connection], T], patience_s: float) -> T:
        """Do the work, and do it again while the server is away, or seems to be.

        One that was waited for in vain is waited for again only after it has answered.
        """
        until = time.monotonic() + (0.0 if self._in_vain else patience_s)
        while True:
            self._begin = begin
            try:
                self._connection = self._connection or self._engine.connect()
                with self._connection.begin():
                    done = work(self._connection)
                self._in_vain = False
                return done
            except FAILURES as error:
                if breaks(error):
                    self._drop()
                if not passes(error) or time.monotonic() >= until:
                    self._in_vain = passes(error)
                    raise in_words(error, self.where, self._place.schema) from error
            time.sleep(_AGAIN_S)

    def _meet(self) -> None:
        """Connect for the first time: only a server that is just starting is waited for."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                self._connection = self._engine.connect()
            except FAILURES as error:
                if not is_starting(error) or time.monotonic() >= until:
                    raise in_words(error, self.where, self._place.schema) from error
            else:
                return
            time.sleep(_AGAIN_S)

    def _on_begin(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        if driver is None:
            raise RuntimeError("a transaction begins on a connection that is open")
        try:
            driver.execute(self._begin)
        except BaseException:  # begun, but not the only one to write
            with suppress(*FAILURES):
                driver.rollback()
            raise

    def _build(self, tx: Connection) -> None:
        """Make the tables, or bring them to our version. Another process may have been quicker."""
        schema = self._place.schema
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        version = versions.found(tx)
        if version is None:
            found = text("SELECT true FROM pg_namespace WHERE nspname = :name")
            if tx.scalar(found, {"name": schema}) is None:
                tx.execute(CreateSchema(schema))
            taken = text("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:name)::oid")
            if foreign := set(tx.scalars(taken, {"name": schema})) & metadata.tables.keys():
                raise LedgerError(
                    f"the schema {schema!r} of {self.where} has a table {min(foreign)!r} that is no ledger's: "
                    "name another schema with ?schema=… in state.url"
                )
        if version is None or versions.is_older(version, self.where):
            versions.migrate(tx)

    def _drop(self) -> None:
        """Forget the session, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAILURES):  # it is gone
                connection.invalidate()
                connection.close()
