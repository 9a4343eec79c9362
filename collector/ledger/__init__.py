"""The ledger in SQL. `sqlite` and `postgresql` hold what differs between the two databases; the rest is shared.

docs/ledger.md describes the theory of operation.
"""

from collector.ledger.no_ledger import NoLedger
from collector.ledger.opening import is_there
from collector.ledger.sql_ledger import SqlLedger
from collector.ledger.views import AwaitedFile, EndedRun, Organization

__all__ = ["AwaitedFile", "EndedRun", "NoLedger", "Organization", "SqlLedger", "is_there"]
