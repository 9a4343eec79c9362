"""The parts that only PostgreSQL needs: DSN and schema, sessions, the lock of writing transactions, liveness."""

from collector.ledger.postgresql.dsn import Dsn, UrlError
from collector.ledger.postgresql.engine import PostgresDatabase

__all__ = ["Dsn", "PostgresDatabase", "UrlError"]
