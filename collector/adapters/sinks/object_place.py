"""An object store as the output of a ledger: each of a run's files becomes one object, or one for each partition."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import structlog

from collector.adapters.paths import place_path
from collector.adapters.sinks.blobs import BlobFiles
from collector.adapters.sinks.converting import PLAIN, convert
from collector.adapters.sinks.directory import JOURNAL
from collector.adapters.sinks.directory_id import id_of
from collector.adapters.sinks.files import OutputFiles
from collector.adapters.sinks.object_store import ObjectStore
from collector.adapters.sinks.outbox import Ended
from collector.core.layout import Layout, RecordsName, sealed_as
from collector.core.outputs import journal_line
from collector.errors import OutputError
from collector.ports import SealedFile

log = structlog.get_logger("collector")

_SCRATCH = 64 * 2**20  # bytes of partitions that are sorted in memory


class ObjectPlace:
    """A bucket as the output of a ledger (`ports.Place`, `outbox.OutboxPlace`)."""

    along = None
    at_most = None
    has_files = True

    def __init__(self, store: ObjectStore, layout: Layout = PLAIN) -> None:
        self._store = store
        self._layout = layout
        self.path = place_path(store.url)
        self.files: OutputFiles = BlobFiles(store, self.path)
        self.ledger_id = ""
        self._id: str | None = None

    @property
    def id(self) -> str | None:
        """The id in the bucket; None if it has none yet."""
        self._id = self._id or id_of(self.files, self.path)
        return self._id

    def name_of(self, run_id: str, number: int) -> str:
        """Return the name of one of a run's files, until it is delivered."""
        return self._layout.working_name(run_id, number)

    def note(self, run_id: str) -> None:
        """Note in the journal that a run of this ledger delivers there."""
        if self.ledger_id:
            self.files.append(self.path / JOURNAL, journal_line(run_id, self.ledger_id))

    def ended(self, lines: SealedFile, kept: Iterable[bytes]) -> Ended:
        """Return the objects that are made of a file."""
        files, contents = self._converted(lines.name, kept)
        return Ended(files, lambda: self._write_all(contents))

    def has(self, name: str) -> bool:
        """Return whether objects were made of a file."""
        found = RecordsName.of(name)
        if found is None or not found.layout.partition_by:
            return self._store.size(name) is not None
        return bool(sealed_as(name, self.files.names(self.path)))

    def deliver(self, name: str, lines: Iterable[bytes]) -> None:
        """Make the objects of a file, those that are not there yet."""
        _, contents = self._converted(name, lines)
        self._write_all(contents)

    def _converted(self, name: str, lines: Iterable[bytes]) -> tuple[list[SealedFile], dict[str, _Body]]:
        found, contents = RecordsName.of(name), dict[str, _Body]()
        if found is None:
            raise OutputError(f"{name} is not the name of a file of records")

        def create(final: str) -> BinaryIO:
            return contents.setdefault(final, _Body())

        try:
            layout = replace(found.layout, labels=self._layout.labels)
            files = convert(lines, found.sealed, layout, create=create, scratch=_scratch)
        except OSError as error:
            raise OutputError(f"records can't be sorted in a temporary file: {error.strerror}") from error
        return files, contents

    def _write_all(self, contents: Mapping[str, _Body]) -> None:
        for name in sorted(contents):
            self.write(name, contents[name].content)

    def write(self, name: str, content: bytes) -> None:
        """Create an object. One that is there already was written by an attempt whose answer did not come."""
        if not self._store.create(name, content) and self._store.size(name) != len(content):
            log.warning(
                "object.differs",
                object=f"{self._store.url}/{name}",
                message="an object with this name was there, and has another size. It is left as it is: an earlier "
                "attempt wrote it, perhaps with another version of the collector",
            )

    def abandon(self) -> None:
        """Make an upload that is under way give up."""
        self._store.abandon()

    def close(self) -> None:
        """Do nothing: connections are the library's."""


class _Body(io.BytesIO):
    """A stream whose content remains when it is closed."""

    content = b""

    def close(self) -> None:
        if not self.closed:
            self.content = self.getvalue()
        super().close()


def _scratch() -> BinaryIO:
    return cast("BinaryIO", SpooledTemporaryFile(_SCRATCH))
