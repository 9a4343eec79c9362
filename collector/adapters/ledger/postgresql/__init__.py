"""What is PostgreSQL's own: a URL and a schema, sessions, the lock of writing transactions, who lives."""

from collector.adapters.ledger.postgresql.engine import PostgresDatabase
from collector.adapters.ledger.postgresql.place import Place, UrlError

__all__ = ["Place", "PostgresDatabase", "UrlError"]
