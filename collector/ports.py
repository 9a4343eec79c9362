"""What the inside needs of the world, as Protocols: adapters fit them, tests fake them.

Owns the shapes only. Elapsed time is not here: asyncio's own loop clock tells it, which
tests replace as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from collector.core.response import Reply
from collector.errors import Failure
from collector.model import ApiRequest, Org, Record


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> datetime:
        """Return the current instant, in UTC."""
        ...


class Transport(Protocol):
    """The way to the API."""

    async def fetch(self, org: Org, request: ApiRequest, *, on_sent: Callable[[], None]) -> Reply | Failure:
        """Send one request and return what came back; never raises for what the network does.

        `on_sent` is called when the request has left: limits count from then, not from the
        moment a connection was asked for.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A file that is whole and will never change."""

    name: str
    records: int
    bytes: int
    sha256: str


class Sink(Protocol):
    """Where records go. Each method raises OutputError if the output can't be written."""

    async def write(self, records: Sequence[Record]) -> None:
        """Write whole records, in order; they are durable only after `seal` (files) or at once (stdout)."""
        ...

    async def seal(self) -> tuple[SealedFile, ...]:
        """Make durable what was written and return all files sealed by this run."""
        ...

    async def finish(self, manifest: bytes) -> None:
        """Publish the run's manifest, where the output keeps one: the last thing that is sealed."""
        ...

    async def abandon(self) -> None:
        """Give up what is not sealed; what is sealed stays."""
        ...
