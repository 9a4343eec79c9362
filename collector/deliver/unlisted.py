"""The sealed files that no manifest names yet, for the next one: of runs that were killed or could not write one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from collector.core.delivered import Listing, manifest_of
from collector.core.ledger_entries import UnsealedFile
from collector.deliver.unsettled import Files, unreadable
from collector.ports import Ledger, RecoveredFile


def unlisted(
    ledger: Ledger,
    files: Files,
    directory: Path,
    listing: Listing,
    recovered: Sequence[UnsealedFile],
    *,
    now: datetime,
) -> list[RecoveredFile]:
    """Return the files that recovery has just sealed, and those of runs that failed or were killed before.

    Only files that are still there are read. Raises OutputError and LedgerError.
    """
    try:
        sealed = {file.name: _recovered(files, directory, file) for file in recovered if file.records}
        runs = ledger.without_manifest(listing.files.keys(), manifests=listing.manifests, now=now)
        for one in _earlier(files, directory, listing, runs):
            sealed.setdefault(one.name, one)
    except OSError as error:
        raise unreadable(directory, error) from error
    return [sealed[name] for name in sorted(sealed)]


def _earlier(files: Files, directory: Path, listing: Listing, runs: Sequence[str]) -> Iterator[RecoveredFile]:
    """Yield the files of runs that their own manifests, if there are any, don't name: a later run sealed those."""
    for run_id in runs:
        own = files.read(directory / f"run-{run_id}.json") if run_id in listing.manifests else None
        manifest = None if own is None else manifest_of(own)
        named = () if manifest is None else manifest.files.get(run_id, ())
        for name in listing.files[run_id]:
            if name not in named and (content := files.read(directory / name)):
                yield _read(name, run_id, content)


def _recovered(files: Files, directory: Path, file: UnsealedFile) -> RecoveredFile:
    """Return a file as it is; if a reader has moved it away, as the ledger has it."""
    for place in (directory, Path(file.directory)):
        if content := files.read(place / file.name):
            return _read(file.name, file.run_id, content)
    return RecoveredFile(name=file.name, run_id=file.run_id, records=file.records, bytes=file.bytes, sha256=None)


def _read(name: str, run_id: str, content: bytes) -> RecoveredFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return RecoveredFile(name=name, run_id=run_id, records=content.count(b"\n"), bytes=len(content), sha256=sha256)
