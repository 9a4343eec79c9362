"""What the inside needs of the world, as Protocols: adapters fit them, tests fake them.

Owns the shapes only. Elapsed time is not here: asyncio's own loop clock tells it, which
tests replace as a whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from collector.core.response import Reply
from collector.errors import Failure
from collector.model import ApiRequest, Org, Record

T = TypeVar("T")


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


class Offload(Protocol):
    """The writer's thread: whatever may block is done there, one after the other."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Do the work there and return what it returns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A file that is whole and will never change."""

    name: str
    records: int
    bytes: int
    sha256: str


class Sink(Protocol):
    """Where records go. Synchronous, for the writer's thread; each method raises OutputError if it can't be done."""

    def next_name(self) -> str | None:
        """Return the name of the file that the next `append` begins; None if it begins none."""
        ...

    def append(self, records: Sequence[Record]) -> None:
        """Write whole records, in order."""
        ...

    def sync(self) -> None:
        """Make durable what was appended."""
        ...

    @property
    def written(self) -> tuple[int, int]:
        """The bytes and records in the file that is not sealed."""
        ...

    @property
    def full(self) -> bool:
        """Whether the file has the size at which it is to be sealed."""
        ...

    def close_file(self) -> SealedFile | None:
        """End the file that is not sealed, durably; it still has its hidden name."""
        ...

    def publish(self, file: SealedFile) -> None:
        """Give an ended file its name, durably."""
        ...

    def write_manifest(self, manifest: bytes) -> None:
        """Publish the run's manifest, where the output keeps one: the last thing that is sealed."""
        ...

    def discard(self) -> None:
        """Remove what is not sealed; what is sealed stays."""
        ...

    def close(self) -> None:
        """Let go of everything, as it is: called at the end, whatever that is."""
        ...

    def abandon(self) -> None:
        """Make a write that waits for its reader give up; the only method called from another thread."""
        ...
