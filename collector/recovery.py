"""What a run left behind that was killed: its unsealed files are finished as they are booked.

Looks at hidden files only, never at sealed ones: readers may have moved them. A hidden file
holds what is booked, and maybe more that never was, which is cut off. If the seal was
intended and the hidden file is gone, it was renamed (docs/ledger.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from collector.errors import OutputError
from collector.ports.ledger import Ledger, UnsealedFile

log = structlog.get_logger("collector")


class Files(Protocol):
    """What is done to files; each raises OSError."""

    def size(self, path: Path) -> int | None:
        """Return a file's size, None if it isn't there."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to that many bytes, durably."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Rename within a directory, durably."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it isn't there."""
        ...


def recover(ledger: Ledger, files: Files, hidden: Callable[[Path, str], Path]) -> None:
    """Finish every file that a process left which lives no more. Raises OutputError and LedgerError."""
    for file in ledger.left_behind():
        try:
            _finish(ledger, files, file, hidden(Path(file.directory), file.name))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise OutputError(f"{file.directory}/{file.name} can't be sealed: {reason}") from error


def _finish(ledger: Ledger, files: Files, file: UnsealedFile, path: Path) -> None:
    final = path.with_name(file.name)
    size = files.size(path)
    if file.seal_intended:
        if size is not None:
            files.rename(path, final)
        ledger.sealed(file.file_id)
        log.info("file.recovered", file=file.name, records=file.records)
    elif not file.records:
        files.remove(path)
        ledger.sealed(file.file_id)
    elif size is not None and size >= file.bytes:
        files.truncate(path, file.bytes)
        ledger.intend_seal(file.file_id)
        files.rename(path, final)
        ledger.sealed(file.file_id)
        log.info("file.recovered", file=file.name, records=file.records, cut_off=size - file.bytes)
    else:
        slices = ledger.lost(file.file_id)
        log.error("file.lost", file=file.name, directory=file.directory, slices_asked_again=slices)
