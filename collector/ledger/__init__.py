"""The ledger in SQL: what SQLite and PostgreSQL do differently has a room for each, the rest is shared.

docs/ledger.md is the theory.
"""

from collector.ledger.opening import is_there
from collector.ledger.sql_ledger import SqlLedger
from collector.ledger.views import AwaitedFile, EndedRun, OpenRun, Organization

__all__ = ["AwaitedFile", "EndedRun", "OpenRun", "Organization", "SqlLedger", "is_there"]
