"""What is PostgreSQL's own: a URL and a schema, sessions, the lock of writing transactions, who lives."""

from collector.ledger.postgresql.dsn import Place, UrlError
from collector.ledger.postgresql.engine import PostgresDatabase

__all__ = ["Place", "PostgresDatabase", "UrlError"]
