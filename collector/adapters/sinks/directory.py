"""Records in a directory of sealed files.

A file is written under a hidden name, as JSON Lines. Then it is fsynced and renamed, or converted (`sealing`). So a
file named `usage-…` is complete and never changes, and readers may move it away at once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from collector import disk
from collector.adapters.sinks.converting import PLAIN, require
from collector.adapters.sinks.files import Files, OsFiles, OutputFiles
from collector.adapters.sinks.jsonl import to_lines
from collector.adapters.sinks.sealing import Sealing, hidden
from collector.core.layout import Layout
from collector.core.outputs import Journal, journal_line
from collector.errors import NotRenamedError, OutputError, OutputGoneError
from collector.model import Record
from collector.ports import SealedFile

JOURNAL = ".collector-runs"  # of a directory (`core.outputs.Journal`)
# What `hidden` makes of the names of a manifest, of the lines about windows, of the new id of a directory, and of the
# two in `_try_files`; and the names of `Files.scratch`.
_SCRATCH = re.compile(r"\.(?:run|coverage|collector-output-id|probed?|sorted)-[A-Za-z0-9._-]+\.unsealed")


class Content:
    """What was written to a file."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lines = 0
        self._digest = hashlib.sha256()

    def add(self, lines: bytes, count: int) -> None:
        """Note that lines were written."""
        self.bytes += len(lines)
        self.lines += count
        self._digest.update(lines)

    def file(self, name: str) -> SealedFile:
        """Return the file with that content."""
        return SealedFile(name=name, records=self.lines, bytes=self.bytes, sha256=self._digest.hexdigest())


class DirectorySink:
    """One run's files in a directory. Create it with `open`."""

    along = None

    def __init__(
        self, directory: Path, *, run_id: str, seal_at: int, files: Files, ledger_id: str | None, layout: Layout
    ) -> None:
        self.directory = directory
        self._layout = layout
        self._sealing = Sealing(files=files, labels=layout.labels)
        self._run_id = run_id
        self._ledger_id = ledger_id
        self._seal_at = seal_at
        self._files = files
        self._number = 1
        self._ended = ""  # the hidden file that is to be published
        self._content = Content()
        self._coverage = Content()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        run_id: str,
        seal_at: int,
        files: Files | None = None,
        ledger_id: str | None = None,
        layout: Layout = PLAIN,
    ) -> DirectorySink:
        """Create the directory if it is missing, and try what the output needs of it before anything is requested.

        With the id of its ledger, the run is noted in the directory's journal before its first file is created.
        Raises OutputError if the directory can't be written, or its file system can't do what is needed, and
        MissingExtraError if a package isn't installed that the layout needs.
        """
        require(layout)
        # Unlike Path's, these never raise.
        if os.path.exists(directory) and not os.path.isdir(directory):  # noqa: PTH110, PTH112
            raise OutputError(f"the output {directory} is a file: name a directory, or - for stdout")
        files = files or OsFiles()
        sink = cls(directory, run_id=run_id, seal_at=seal_at, files=files, ledger_id=ledger_id, layout=layout)
        with sink._as_output_error():
            sink._files.make_directory(directory)
            sink._remove_abandoned()
            sink._try_files()
        return sink

    def committed(self) -> None:
        """Do nothing: what a file has is committed by its size."""

    @property
    def written(self) -> tuple[int, int]:
        """The bytes and records in the unsealed file."""
        return self._content.bytes, self._content.lines

    @property
    def full(self) -> bool:
        """Whether the unsealed file has reached the size at which it is sealed."""
        return self._content.bytes >= self._seal_at

    def next_name(self) -> str | None:
        """Return the name of the file that the next `append` begins; None while one is open."""
        return None if self._content.lines else self._name

    def append(self, records: Sequence[Record]) -> None:
        """Write whole lines to the hidden file."""
        lines = to_lines(records)
        with self._as_output_error():
            if self._ledger_id and self._number == 1 and not self._content.lines:
                note(self._files, self.directory, self._run_id, self._ledger_id)
            self._files.append(hidden(self.directory, self._name), lines)
        self._content.add(lines, len(records))

    def sync(self) -> None:
        """Make the appended lines durable."""
        with self._as_output_error():
            self._files.sync(hidden(self.directory, self._name))

    def take_lines(self) -> bytes:
        """Return nothing: the hidden file keeps what is appended."""
        return b""

    def close_file(self, kept: Iterable[bytes] = ()) -> Sequence[SealedFile]:
        """End the hidden file, durably, and stage what it becomes; return nothing if it has no records."""
        del kept
        if not self._content.lines:
            return ()
        self.sync()
        with self._as_output_error():
            files = self._sealing.stage(self.directory, self._name) or [self._content.file(self._name)]
        self._ended = self._name
        self._number += 1
        self._content = Content()
        return files

    def publish(self, files: Sequence[SealedFile]) -> None:
        """Give what `close_file` ended its names. Raises NotRenamedError if it is known not to have got any of them."""
        name, finals = self._ended, [file.name for file in files]
        try:
            with self._as_output_error():
                self._sealing.publish(self.directory, name, finals)
        except OutputError as error:
            with suppress(OSError):  # where that can't be told, it may have been renamed
                kept = self._sealing.is_unpublished(self.directory, name, finals)
                if kept or self._sealing.is_gone(self.directory, name):
                    raise (NotRenamedError if kept else OutputGoneError)(str(error)) from error
            raise
        with self._as_output_error():
            self._sealing.forget(self.directory, name)
        self._ended = ""

    def append_coverage(self, lines: bytes, count: int) -> None:
        """Write lines about the run's windows to their hidden file."""
        with self._scratch(self._coverage_name) as path:
            self._files.append(path, lines)
        self._coverage.add(lines, count)

    def seal_coverage(self) -> SealedFile | None:
        """Seal the lines about the run's windows; return None if there are none."""
        if not self._coverage.lines:
            return None
        self._seal_scratch(self._coverage_name)
        return self._coverage.file(self._coverage_name)

    def write_manifest(self, manifest: bytes) -> None:
        """Seal the manifest: the last file of the run."""
        name = f"run-{self._run_id}.json"
        with self._scratch(name) as path:
            self._files.append(path, manifest)
        self._seal_scratch(name)

    def _seal_scratch(self, name: str) -> None:
        with self._scratch(name) as path:
            self._files.sync(path)
            self._files.rename(path, self.directory / name)

    @contextmanager
    def _scratch(self, name: str) -> Iterator[Path]:
        """Yield the hidden path of a file that no recovery seals; after a failure it is removed."""
        path = hidden(self.directory, name)
        with self._as_output_error():
            try:
                yield path
            except OSError:
                with suppress(OSError):  # the first error is raised
                    self._files.remove(path)
                raise

    def discard(self) -> None:
        """Remove the unsealed file, also one that was ended and not published; reset its size and records."""
        with self._as_output_error():
            for name in {self._ended, self._name} - {""}:
                self._sealing.discard(self.directory, name)
        self._content = Content()

    def abandon(self) -> None:
        """Do nothing: a write to a disk doesn't wait for a reader."""

    def close(self) -> None:
        """Close the unsealed file, which releases its lock: recovery leaves a locked file alone."""
        with self._as_output_error():
            self._files.close()

    def _remove_abandoned(self) -> None:
        """Remove what killed processes left of files that aren't records; recovery takes care of those."""
        for name in self._files.names(self.directory):
            if _SCRATCH.fullmatch(name):
                self._files.remove_abandoned(self.directory / name)
        self._sealing.remove_orphans(self.directory)

    def _try_files(self) -> None:
        """Do to a file without content what is done to every file (`disk.Ability`)."""
        probe, renamed = (hidden(self.directory, f"{name}-{self._run_id}") for name in ("probe", "probed"))
        try:
            self._files.append(probe, b"")
            self._files.sync(probe)
            self._files.rename(probe, renamed)
        except OSError:
            with suppress(OSError):  # the first error is raised
                self._files.remove(probe)
                self._files.remove(renamed)
            raise
        self._files.remove(renamed)

    @property
    def _name(self) -> str:
        return self._layout.working_name(self._run_id, self._number)

    @property
    def _coverage_name(self) -> str:
        return f"coverage-{self._run_id}.jsonl"

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise output_error(self.directory, error) from error


def output_error(directory: Path, error: OSError) -> OutputError:
    """Return the error for a directory that can't be written."""
    if isinstance(error, FileNotFoundError):
        return OutputGoneError(
            f"the output directory {directory} or the unsealed file in it was removed or moved away during the run"
        )
    return OutputError(f"the output directory {directory} can't be written: {disk.reason_of(error)}")


def journal_of(files: OutputFiles, directory: Path) -> Journal:
    """Return the journal of a directory. Raises OutputError."""
    try:
        return Journal.of(files.read(directory / JOURNAL))
    except OSError as error:
        raise OutputError(f"the output directory {directory} can't be read: {error.strerror}") from error


def note(files: OutputFiles, directory: Path, run_id: str | None, ledger_id: str) -> None:
    """Note a run in the journal of a directory, durably; without a run, that the directory is this ledger's.

    Raises OSError.
    """
    path = directory / JOURNAL
    is_torn = not (files.read(path) or b"\n").endswith(b"\n")  # a process was killed while it wrote
    files.append(path, is_torn * b"\n" + journal_line(run_id, ledger_id))
    files.sync(path)
