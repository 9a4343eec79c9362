"""Records for a place that takes whole files only: the ledger keeps their lines, until a file is delivered as a whole.

So a process that is killed leaves nothing behind at the place, and any other one that has the same output delivers
what is kept (`deliver.recovery`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from collector.adapters.sinks.directory import Content
from collector.adapters.sinks.files import OutputFiles
from collector.adapters.sinks.jsonl import to_lines
from collector.model import Record
from collector.ports import Along, Place, SealedFile


class Ended(NamedTuple):
    """What a file becomes, and what delivers it."""

    files: Sequence[SealedFile]
    publish: Callable[[], None]


class OutboxPlace(Place, Protocol):
    """What a run needs of such a place. Every method raises OutputError."""

    path: Path  # its URL
    files: OutputFiles  # how it is marked and read
    ledger_id: str  # of the ledger whose records go there; empty without one

    @property
    def has_files(self) -> bool:
        """Whether what is delivered are files, which a manifest lists for its readers."""
        ...

    @property
    def at_most(self) -> int | None:
        """The size at which a file is delivered, whatever the config says; None: the config's counts."""
        ...

    def name_of(self, run_id: str, number: int) -> str:
        """Return the name of a run's file."""
        ...

    def note(self, run_id: str) -> None:
        """Note that a run delivers there, before it commits anything."""
        ...

    def ended(self, lines: SealedFile, kept: Iterable[bytes]) -> Ended:
        """Return what is made of the lines of a file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file that has no records. If it was written before, nothing changes."""
        ...

    def abandon(self) -> None:
        """Make a delivery that waits give up; called from another thread."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class OutboxSink:
    """One run's files at a place that takes them whole (`ports.Sink`)."""

    def __init__(self, place: OutboxPlace, *, run_id: str, seal_at: int) -> None:
        self._place = place
        self._run_id = run_id
        self._seal_at = min(seal_at, place.at_most or seal_at)
        self._number = 1
        self._content = Content()
        self._lines: list[bytes] = []
        self._ended: Ended | None = None
        self._coverage = Content()
        self._coverage_lines: list[bytes] = []  # compressed

    @property
    def written(self) -> tuple[int, int]:
        """The bytes and records in the file that is not sealed, as JSON Lines."""
        return self._content.bytes, self._content.lines

    @property
    def full(self) -> bool:
        """Whether the file has reached the size at which it is sealed."""
        return self._content.bytes >= self._seal_at

    @property
    def along(self) -> Along | None:
        """What publishes an ended file in the ledger's own transaction."""
        return self._place.along

    def next_name(self) -> str | None:
        """Return the name of the file that the next `append` begins; None while one is open."""
        return None if self._content.lines else self._name

    def append(self, records: Sequence[Record]) -> None:
        """Take whole lines, which the ledger keeps. The run is noted at the place before its first one."""
        if self._number == 1 and not self._content.lines:
            self._place.note(self._run_id)
        lines = to_lines(records)
        self._content.add(lines, len(records))
        self._lines.append(lines)

    def sync(self) -> None:
        """Do nothing: the ledger makes the lines durable."""

    def committed(self) -> None:
        """Do nothing: the place gets the records when the file is sealed."""

    def take_lines(self) -> bytes:
        """Return what was appended since the last call."""
        lines, self._lines = b"".join(self._lines), []
        return lines

    def close_file(self, kept: Iterable[bytes] = ()) -> Sequence[SealedFile]:
        """End the file: make of the lines that the ledger has kept what is delivered."""
        if not self._content.lines:
            return ()
        self._ended = self._place.ended(self._content.file(self._name), kept)
        self._number += 1
        self._content = Content()
        return self._ended.files

    def publish(self, files: Sequence[SealedFile]) -> None:
        """Deliver the ended file. What failed is delivered by the next run: the ledger keeps the lines until then."""
        ended, self._ended = self._ended, None
        if ended is not None and ended.files == files:
            ended.publish()

    def append_coverage(self, lines: bytes, count: int) -> None:
        """Take lines about the run's windows."""
        self._coverage.add(lines, count)
        self._coverage_lines.append(zlib.compress(lines))

    def seal_coverage(self) -> SealedFile | None:
        """Write the lines about the run's windows; return None if there are none."""
        if not self._coverage.lines:
            return None
        file = self._coverage.file(f"coverage-{self._run_id}.jsonl")
        self._place.write(file.name, b"".join(map(zlib.decompress, self._coverage_lines)))
        self._coverage_lines = []
        return file

    def write_manifest(self, manifest: bytes) -> None:
        """Write the manifest: the last file of the run."""
        self._place.write(f"run-{self._run_id}.json", manifest)

    def discard(self) -> None:
        """Forget what is not sealed, and reset its size and records."""
        self._content, self._lines, self._ended = Content(), [], None

    def abandon(self) -> None:
        """Make a delivery that waits give up."""
        self._place.abandon()

    def close(self) -> None:
        """Close the connection."""
        self._place.close()

    @property
    def _name(self) -> str:
        return self._place.name_of(self._run_id, self._number)
