"""The database port: what the shared modules need from SQLite or PostgreSQL (transactions, liveness)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from collector.ledger.holders import Liveness
from collector.ledger.versions import Migration

T = TypeVar("T")
PATIENCE_S = 30.0


class Readable(Protocol):
    """One ledger that is read, for one thread at a time. Failures are raised as a LedgerError that says what to do."""

    where: str  # shown in messages; holds no secret

    @property
    def liveness(self) -> Liveness:
        """The check which processes are alive."""
        ...

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read-only transaction that sees one consistent state of the ledger."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Look(Protocol):
    """A look at whether a ledger can be used. It is cheap, opens no transaction, and waits for no other process."""

    def __call__(self) -> None:
        """Return if the ledger is there and can be written. Raises LedgerError."""
        ...

    def close(self) -> None:
        """Close what was kept for the next look."""
        ...


class Database(Readable, Protocol):
    """One open ledger."""

    across_machines: bool  # whether processes that share it may see different file systems
    migrated: Migration | None  # when it was opened

    def write(self, work: Callable[[Connection], T], *, patient: bool = True) -> T:
        """Run `work` in the only transaction that writes at that time, and commit all of it or nothing.

        A server that fails may have committed without reporting it. Then `work` is run again: it must be
        idempotent. Without `patient` the call doesn't wait for an unreachable server.
        """
        ...
