"""The port to the output: where records go, in files that are sealed or without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from collector.model import Record

# What delivers the lines of a file through a connection of the ledger's database, in a transaction of the ledger.
Along = Callable[[Any, Iterator[bytes]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A file that is whole and will never change."""

    name: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredFile:
    """A sealed file of an earlier run; without `sha256` it was moved away before it could be read.

    Then its size is not known either, unless it is what was appended to it.
    """

    name: str
    run_id: str
    records: int
    bytes: int | None
    sha256: str | None


class Sink(Protocol):
    """Where records go. Synchronous, for the writer's thread; each method raises OutputError if it can't be done."""

    def next_name(self) -> str | None:
        """Return the name of the file that the next `append` begins; None if it begins none.

        That is a working name: it says what the file becomes (`core.layout`).
        """
        ...

    def append(self, records: Sequence[Record]) -> None:
        """Write whole records, in order."""
        ...

    def sync(self) -> None:
        """Make durable what was appended."""
        ...

    def committed(self) -> None:
        """Take note that the slices of everything that was appended are committed to the ledger."""
        ...

    @property
    def written(self) -> tuple[int, int]:
        """The bytes and records in the file that is not sealed."""
        ...

    @property
    def full(self) -> bool:
        """Whether the file has the size at which it is to be sealed."""
        ...

    def take_lines(self) -> bytes:
        """Return what was appended since the last call, if the ledger has to keep it until the file is sealed."""
        ...

    @property
    def along(self) -> Along | None:
        """What publishes an ended file in the ledger's own transaction, if the output is in the ledger's database."""
        ...

    def close_file(self, kept: Iterable[bytes] = ()) -> Sequence[SealedFile]:
        """End the file that is not sealed, durably; return what it becomes: hidden until it is published.

        That are several files where records are partitioned, and none if there are no records. `kept` are the lines of
        the file, if the ledger keeps them; else they are not read.
        """
        ...

    def publish(self, files: Sequence[SealedFile]) -> None:
        """Give what was just ended its names, durably. Raises NotRenamedError if it is known that none got its name."""
        ...

    def append_coverage(self, lines: bytes, count: int) -> None:
        """Write lines about the run's windows, where the output keeps them. Called after all files are sealed."""
        ...

    def seal_coverage(self) -> SealedFile | None:
        """Publish the lines about the run's windows; return None if there are none."""
        ...

    def write_manifest(self, manifest: bytes) -> None:
        """Publish the run's manifest, where the output keeps one: the last thing that is sealed."""
        ...

    def discard(self) -> None:
        """Remove what is not sealed; what is sealed stays."""
        ...

    def close(self) -> None:
        """Close everything as it is: called at the end, however the run ended."""
        ...

    def abandon(self) -> None:
        """Make a write that waits for its reader give up; the only method called from another thread."""
        ...


class Place(Protocol):
    """An output that takes whole files only, seen from recovery: an object store, or a table. Raises OutputError."""

    @property
    def id(self) -> str | None:
        """What identifies it, whatever its URL is."""
        ...

    @property
    def along(self) -> Along | None:
        """What delivers the lines of a file in the ledger's own transaction, if it is in the ledger's database."""
        ...

    def has(self, name: str) -> bool:
        """Return whether a file was delivered. A place that merges records need not know."""
        ...

    def deliver(self, name: str, lines: Iterable[bytes]) -> None:
        """Deliver the records of a file under its name. If it was delivered before, nothing changes."""
        ...
