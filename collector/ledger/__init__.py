"""The ledger in SQL. `sqlite` and `postgresql` hold what differs between the two databases; the rest is shared.

docs/ledger.md describes the theory of operation.
"""

from collector.ledger.carried import CarriedError, restore
from collector.ledger.database import Look
from collector.ledger.info import LedgerInfo
from collector.ledger.no_ledger import NoLedger
from collector.ledger.opening import back_up, name_of, open_look
from collector.ledger.reader import LedgerReader, open_reader
from collector.ledger.sql_ledger import SqlLedger
from collector.ledger.views import AwaitedFile, EndedRun, Organization

Readable = LedgerReader | NoLedger  # a ledger, or none

__all__ = [
    "AwaitedFile",
    "CarriedError",
    "EndedRun",
    "LedgerInfo",
    "LedgerReader",
    "Look",
    "NoLedger",
    "Organization",
    "Readable",
    "SqlLedger",
    "back_up",
    "name_of",
    "open_look",
    "open_reader",
    "restore",
]
