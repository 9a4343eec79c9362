"""A new ledger in SQLite: the tables as all migrations leave them, in one script.

The migrations remain the source: `make reference` writes the script with them, and a test holds it against them. The
script takes a twentieth of their time, and no Alembic.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import Connection

from collector.ledger import versions

SCRIPT = Path(__file__).with_name("new_ledger.sql")
END = ";\n\n"  # of a statement


def create_tables(tx: Connection) -> None:
    """Create the tables of the current version, and give the ledger its id."""
    for statement in SCRIPT.read_text(encoding="utf-8").split(END)[:-1]:
        tx.exec_driver_sql(statement)
    tx.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (versions.KNOWN[-1],))
    tx.exec_driver_sql("INSERT INTO ledger (id) VALUES (?)", (secrets.token_hex(16),))
