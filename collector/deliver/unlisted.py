"""The sealed files that no manifest names yet, for the next one: of runs that were killed or could not write one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from collector.core.delivered import Listing, manifest_of
from collector.core.layout import RecordsName, sealed_as
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
        sealed = {one.name: one for file in recovered if file.records for one in _recovered(files, directory, file)}
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
            if name not in named and (one := _read(files, directory, name, run_id)):
                yield one


def _recovered(files: Files, directory: Path, file: UnsealedFile) -> list[RecoveredFile]:
    """Return what a file became, as it is; if a reader has moved it away, as the ledger has it."""
    found = RecordsName.of(file.name)
    for place in dict.fromkeys((directory, Path(file.directory))):
        is_divided = found is not None and found.layout.partition_by
        names = sealed_as(file.name, files.names(place)) if is_divided else [file.name]
        if there := [one for name in sorted(names) if (one := _read(files, place, name, file.run_id))]:
            return there
    size = file.bytes if found is None or found.layout.is_plain else None
    name = found.sealed if found else file.name
    return [RecoveredFile(name=name, run_id=file.run_id, records=file.records, bytes=size, sha256=None)]


def _read(files: Files, directory: Path, name: str, run_id: str) -> RecoveredFile | None:
    """Return a sealed file; None if it is not there, or damaged."""
    if not (content := files.read(directory / name)):
        return None
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        records = (files.records(directory / name) or b"").count(b"\n")
    except ValueError:
        return None
    return RecoveredFile(name=name, run_id=run_id, records=records, bytes=len(content), sha256=sha256)
