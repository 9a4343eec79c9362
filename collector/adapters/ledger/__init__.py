"""The ledger in SQL: SQLite now; every statement also suits PostgreSQL (docs/ledger.md)."""

from collector.adapters.ledger.sql_ledger import SqlLedger
from collector.adapters.ledger.views import OpenRun, Organization, Stretch

__all__ = ["OpenRun", "Organization", "SqlLedger", "Stretch"]
