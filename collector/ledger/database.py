"""What the shared rooms need of a database, whichever it is: transactions, and who lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from collector.ledger.holders import Liveness

T = TypeVar("T")
PATIENCE_S = 30.0


class Database(Protocol):
    """One open ledger; for one thread at a time. What goes wrong is raised as a LedgerError in words."""

    where: str  # for people: no secret is in it
    across_machines: bool  # whether those who share it may each see other files

    @property
    def liveness(self) -> Liveness:
        """Who tells that its processes live."""
        ...

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction that sees one state of the ledger and writes nothing."""
        ...

    def write(self, work: Callable[[Connection], T], *, patient: bool = True) -> T:
        """Do something in a transaction that is the only one to write; all of it is committed, or nothing.

        A server that goes away may have committed it and not said so: what is done must be such that
        it can be done again. Whoever isn't `patient` doesn't wait for the server to come back.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
