"""What is SQLite's own: a file, its pragmas, BEGIN IMMEDIATE, locked files that tell who lives."""

from collector.ledger.sqlite.database_file import Place
from collector.ledger.sqlite.engine import SqliteDatabase

__all__ = ["Place", "SqliteDatabase"]
