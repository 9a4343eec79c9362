"""What is SQLite's own: a file, its pragmas, BEGIN IMMEDIATE, locked files that tell who lives."""

from collector.adapters.ledger.sqlite.engine import SqliteDatabase
from collector.adapters.ledger.sqlite.place import Place

__all__ = ["Place", "SqliteDatabase"]
