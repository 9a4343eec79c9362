"""The parts that only PostgreSQL needs: DSN and schema, sessions, the lock of writing transactions, liveness."""

from collector.ledger.postgresql.dsn import Dsn, UrlError
from collector.ledger.postgresql.engine import PostgresDatabase
from collector.ledger.postgresql.look import PostgresLook

__all__ = ["Dsn", "PostgresDatabase", "PostgresLook", "UrlError"]
