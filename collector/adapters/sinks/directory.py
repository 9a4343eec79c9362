"""Records in a directory of sealed files.

A file is written under a hidden name, then fsynced and renamed: nothing under a
`usage-…` name ever changes or is incomplete, and readers may move it away at once
(contract.md, "Delivery").
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from collector.adapters.sinks.files import Files, OsFiles
from collector.adapters.sinks.jsonl import to_lines
from collector.errors import NotRenamedError, OutputError
from collector.model import Record
from collector.ports import SealedFile


class DirectorySink:
    """One run's files in a directory. Create it with `open`."""

    def __init__(self, directory: Path, *, run_id: str, seal_at: int, files: Files) -> None:
        self.directory = directory
        self._run_id = run_id
        self._seal_at = seal_at
        self._files = files
        self._number = 1
        self._bytes = 0
        self._records = 0
        self._digest = hashlib.sha256()

    @classmethod
    def open(cls, directory: Path, *, run_id: str, seal_at: int, files: Files | None = None) -> DirectorySink:
        """Make the directory if need be, and prove that it can be written before anything is asked.

        Raises OutputError if it can't.
        """
        if directory.exists() and not directory.is_dir():
            raise OutputError(f"the output {directory} is a file: name a directory, or - for stdout")
        sink = cls(directory, run_id=run_id, seal_at=seal_at, files=files or OsFiles())
        probe = hidden(directory, f"probe-{run_id}")
        with sink._explained():
            sink._files.make_directory(directory)
            sink._files.append(probe, b"")
            sink._files.remove(probe)
        return sink

    @property
    def written(self) -> tuple[int, int]:
        """The bytes and records in the file that is not sealed."""
        return self._bytes, self._records

    @property
    def full(self) -> bool:
        """Whether the file has the size at which it is to be sealed."""
        return self._bytes >= self._seal_at

    def next_name(self) -> str | None:
        """Return the name of the file that the next `append` begins; None while one is open."""
        return None if self._records else self._name

    def append(self, records: Sequence[Record]) -> None:
        """Write whole lines to the hidden file."""
        lines = to_lines(records)
        with self._explained():
            self._files.append(hidden(self.directory, self._name), lines)
        self._digest.update(lines)
        self._bytes += len(lines)
        self._records += len(records)

    def sync(self) -> None:
        """Make durable what was appended."""
        with self._explained():
            self._files.sync(hidden(self.directory, self._name))

    def close_file(self) -> SealedFile | None:
        """End the hidden file, durably."""
        if not self._records:
            return None
        self.sync()
        file = SealedFile(name=self._name, records=self._records, bytes=self._bytes, sha256=self._digest.hexdigest())
        self._number += 1
        self._begin()
        return file

    def publish(self, file: SealedFile) -> None:
        """Rename the hidden file to its name, durably. Raises NotRenamedError if it is known not to have got it."""
        old, new = hidden(self.directory, file.name), self.directory / file.name
        try:
            with self._explained():
                self._files.rename(old, new)
        except OutputError as error:
            with suppress(OSError):  # where that can't be told, it may have been renamed
                if self._files.size(old) is not None or self._files.size(new) is None:
                    raise NotRenamedError(str(error)) from error
            raise

    def write_manifest(self, manifest: bytes) -> None:
        """Seal the manifest: the last file of the run."""
        name = f"run-{self._run_id}.json"
        with self._explained():
            try:
                self._files.append(hidden(self.directory, name), manifest)
                self._files.sync(hidden(self.directory, name))
                self._files.rename(hidden(self.directory, name), self.directory / name)
            except OSError:
                with suppress(OSError):  # why it is given up is told
                    self._files.remove(hidden(self.directory, name))
                raise

    def discard(self) -> None:
        """Remove the file that is not sealed, and forget what was written to it."""
        with self._explained():
            self._files.remove(hidden(self.directory, self._name))
        self._begin()

    def abandon(self) -> None:
        """Do nothing: a disk takes or refuses, it doesn't make one wait."""

    def close(self) -> None:
        """Let go of the file that is not sealed: whoever goes on with it has to see that nobody writes it."""
        with self._explained():
            self._files.close()

    def _begin(self) -> None:
        self._bytes = self._records = 0
        self._digest = hashlib.sha256()

    @property
    def _name(self) -> str:
        return f"usage-{self._run_id}-{self._number:04}.jsonl"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise OutputError(f"the output directory {self.directory} can't be written: {reason}") from error


def hidden(directory: Path, name: str) -> Path:
    """Return the path of a file that is not sealed yet."""
    return directory / f".{name}.unsealed"
