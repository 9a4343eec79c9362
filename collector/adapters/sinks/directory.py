"""Records in a directory of sealed files.

A file is written under a hidden name, then fsynced and renamed: nothing under a
`usage-…` name ever changes or is incomplete, and readers may move it away at once
(contract.md, "Delivery"). All of it happens in one thread of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import TypeVar

from collector.adapters.sinks.jsonl import to_lines
from collector.errors import OutputError
from collector.model import Record
from collector.ports import SealedFile

T = TypeVar("T")


class DirectorySink:
    """One run's files in a directory. Create it with `open`."""

    def __init__(self, directory: Path, *, run_id: str, seal_at: int) -> None:
        self._directory = directory
        self._run_id = run_id
        self._seal_at = seal_at
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sink")
        self._sealed: list[SealedFile] = []
        self._file: FileIO | None = None
        self._records = 0
        self._bytes = 0
        self._digest = hashlib.sha256()

    @classmethod
    def open(cls, directory: Path, *, run_id: str, seal_at: int) -> DirectorySink:
        """Make the directory if need be, and prove that it can be written before anything is asked.

        Raises OutputError if it can't.
        """
        sink = cls(directory, run_id=run_id, seal_at=seal_at)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            probe = sink._hidden(f"probe-{run_id}")
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise sink._error(error) from error
        return sink

    async def write(self, records: Sequence[Record]) -> None:
        """Append whole lines to the open file, and seal it once it has reached its size."""
        await self._in_thread(lambda: self._write(records))

    async def seal(self) -> tuple[SealedFile, ...]:
        """Seal the open file, if there is one, and return all sealed files of this run."""
        return await self._in_thread(self._seal)

    async def finish(self, manifest: bytes) -> None:
        """Seal the manifest: the last file of the run."""
        await self._in_thread(lambda: self._publish(f"run-{self._run_id}.json", manifest))
        self._thread.shutdown(wait=False)

    async def abandon(self) -> None:
        """Remove the file that is not sealed."""
        await self._in_thread(self._discard)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise self._error(error) from error

    def _write(self, records: Sequence[Record]) -> None:
        lines = to_lines(records)
        if self._file is None:
            self._file = self._hidden(self._name()).open("xb", buffering=0)
        _write_all(self._file, lines)
        self._digest.update(lines)
        self._records += len(records)
        self._bytes += len(lines)
        if self._bytes >= self._seal_at:
            self._seal()

    def _seal(self) -> tuple[SealedFile, ...]:
        if self._file is not None:
            name = self._name()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._rename(name)
            self._sealed.append(
                SealedFile(name=name, records=self._records, bytes=self._bytes, sha256=self._digest.hexdigest())
            )
            self._records = self._bytes = 0
            self._digest = hashlib.sha256()
        return tuple(self._sealed)

    def _publish(self, name: str, content: bytes) -> None:
        with self._hidden(name).open("xb", buffering=0) as file:
            _write_all(file, content)
            os.fsync(file.fileno())
        self._rename(name)

    def _discard(self) -> None:
        if self._file is not None:
            self._hidden(self._name()).unlink(missing_ok=True)
            file, self._file = self._file, None
            file.close()

    def _rename(self, name: str) -> None:
        self._hidden(name).rename(self._directory / name)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _name(self) -> str:
        return f"usage-{self._run_id}-{len(self._sealed) + 1:04}.jsonl"

    def _hidden(self, name: str) -> Path:
        return self._directory / f".{name}.unsealed"

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"the output directory {self._directory} can't be written: {os.strerror(error.errno or 0)}")


def _write_all(file: FileIO, content: bytes) -> None:
    """Write without a buffer: one that holds what a full disk refused would fail again on close."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
