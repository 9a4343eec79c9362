"""A table as the output of a ledger: each of a run's files is merged as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from collector.adapters.sinks.blobs import BlobFiles
from collector.adapters.sinks.directory import JOURNAL
from collector.adapters.sinks.directory_id import id_of
from collector.adapters.sinks.files import OutputFiles
from collector.adapters.sinks.outbox import Ended
from collector.adapters.sinks.table import TableStore
from collector.core.outputs import journal_line
from collector.ports import Along, SealedFile

AT_MOST = 16_000_000  # bytes of JSON Lines that are merged in one transaction, which others may wait for


class TablePlace:
    """A table as the output of a ledger (`ports.Place`, `outbox.OutboxPlace`)."""

    has_files = False

    def __init__(self, store: TableStore, path: Path, *, in_ledgers_database: bool) -> None:
        self._store = store
        self.path = path
        self.files: OutputFiles = BlobFiles(store, path)
        self.ledger_id = ""
        self._id: str | None = None
        self._in_ledgers_database = in_ledgers_database

    @property
    def id(self) -> str | None:
        """The id in the table's second one; None if it has none yet."""
        self._id = self._id or id_of(self.files, self.path)
        return self._id

    @property
    def along(self) -> Along | None:
        """What merges the lines of a file in the ledger's own transaction, if it is in the ledger's database."""
        return self._store.merge_along if self._in_ledgers_database else None

    @property
    def at_most(self) -> int | None:
        """The size at which a file is merged, whatever the config says."""
        return AT_MOST

    def name_of(self, run_id: str, number: int) -> str:
        """Return the name of a part of a run. It is no file's, so that nobody looks for one."""
        return f"rows-{run_id}-{number:04}"

    def note(self, run_id: str) -> None:
        """Note that the table is this ledger's. Which runs delivered there, its rows say."""
        del run_id
        if self.ledger_id:
            self.files.append(self.path / JOURNAL, journal_line(None, self.ledger_id))

    def ended(self, lines: SealedFile, kept: Iterable[bytes]) -> Ended:
        """Return what merges a part of a run."""
        return Ended((lines,), (lambda: None) if self._in_ledgers_database else lambda: self._store.merge(kept))

    def has(self, name: str) -> bool:
        """Return False: what was merged before can be merged again."""
        del name
        return False

    def deliver(self, name: str, lines: Iterable[bytes]) -> None:
        """Merge a part of a run."""
        del name
        self._store.merge(lines)

    def write(self, name: str, content: bytes) -> None:
        """Write a manifest or a coverage file."""
        self._store.create(name, content)

    def abandon(self) -> None:
        """Do nothing: each statement has its own limit of time."""

    def close(self) -> None:
        """End the session."""
        self._store.close()
