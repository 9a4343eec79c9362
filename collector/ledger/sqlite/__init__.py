"""The parts that only SQLite needs: the database file, pragmas, BEGIN IMMEDIATE, locked files for liveness."""

from collector.ledger.sqlite.backup import back_up
from collector.ledger.sqlite.copying import Progress
from collector.ledger.sqlite.creating import create_tables
from collector.ledger.sqlite.database_file import DatabaseFile
from collector.ledger.sqlite.engine import SqliteDatabase, create_database
from collector.ledger.sqlite.look import SqliteLook
from collector.ledger.sqlite.reading import SqliteReader

__all__ = [
    "DatabaseFile",
    "Progress",
    "SqliteDatabase",
    "SqliteLook",
    "SqliteReader",
    "back_up",
    "create_database",
    "create_tables",
]
