"""Recovery: seal the unsealed files that killed runs left, by what is committed of them.

Reads hidden files only, never sealed ones: readers may have moved those. A hidden file holds what is
committed, and perhaps more, which is cut off. If the seal was intended and the hidden file is gone, it was
renamed (docs/ledger.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import structlog

from collector import disk
from collector.core.ledger_entries import UnsealedFile
from collector.core.outputs import is_remote
from collector.errors import OutputError
from collector.ports import Ledger, Place

log = structlog.get_logger("collector")


def why_awaited(file: str, collect: str, *, place: str) -> str:
    """Return what it means that a file is awaited, and what to do. `collect` is the beginning of that command.

    `place` is the directory of the file, or the URL of the place that it is to be delivered to.
    """
    if is_remote(place):
        return (
            f"Its records are in the ledger, and its slices are in doubt until they are delivered. The next run with "
            f"the output {place} delivers them. If that place is gone for good, run `{collect} --lost {file}`: the "
            "next run then fetches its slices again."
        )
    return (
        "Its slices are in doubt until the file is sealed. The next run that sees its directory seals it. To seal it "
        f"yourself, run `{collect} --recover DIR` where the directory is mounted. If the file is gone for good, run "
        f"`{collect} --lost {file}`: the next run then fetches its slices again, and the log names a `backfill` for "
        "those that are too old for that."
    )


class Files(Protocol):
    """The file operations of recovery; each raises OSError."""

    def is_directory(self, path: Path) -> bool:
        """Return whether a directory exists."""
        ...

    def size(self, path: Path) -> int | None:
        """Return a file's size; None if it doesn't exist."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to that many bytes, durably."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Rename within a directory, durably."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it doesn't exist."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of the files that were left behind."""

    sealed: list[UnsealedFile] = field(default_factory=list)
    lost: list[UnsealedFile] = field(default_factory=list)
    awaited: list[UnsealedFile] = field(default_factory=list)  # in a directory that this process doesn't see
    ahead: list[UnsealedFile] = field(default_factory=list)  # of the sealed: the ledger didn't intend to


def at_its_path(file: UnsealedFile) -> Path | None:
    """Return the directory that a file was written to."""
    return Path(file.directory)


def recover(
    ledger: Ledger,
    files: Files,
    hidden: Callable[[Path, str], Path],
    find: Callable[[UnsealedFile], Path | None] = at_its_path,
    *,
    own: Path | None = None,
    place: Place | None = None,
    delivered: Collection[str] = (),
) -> Recovered:
    """Finish every file that a dead process left and that can be found.

    The others are awaited: their slices are not fetched again, since the file may still be sealed. So are files
    that can't be written in a directory other than our `own`: they must not keep a run from collecting.
    `delivered` are names that manifests list: a restored ledger may not know that such a file was sealed.
    Our own output may be a `place` instead, for files that the ledger keeps. Raises OutputError and LedgerError.
    """
    found: dict[int, Path] = {}
    ours: set[int] = set()
    recovered = Recovered()
    for file in ledger.left_behind():
        if is_remote(file.directory):
            if place is not None and file.place == place.id:
                ours.add(file.file_id)
            else:
                recovered.awaited.append(file)
            continue
        directory = find(file)
        if directory is None or not files.is_directory(directory):  # it may be a disk that isn't mounted
            recovered.awaited.append(file)
        else:
            found[file.file_id] = directory
    for file in ledger.take_over([*found, *ours]) if found or ours else ():
        if file.file_id in ours and place is not None:
            _deliver(ledger, place, file, recovered, delivered)
            continue
        path = hidden(found[file.file_id], file.name)
        try:
            ahead = not file.seal_intended and files.size(path) is None and _was_sealed(files, file, path, delivered)
            is_there = _finish(ledger, files, replace(file, seal_intended=file.seal_intended or ahead), path)
        except OSError as error:
            why = f"{found[file.file_id]}/{file.name} can't be sealed: {disk.reason_of(error)}"
            if found[file.file_id] == own:
                raise OutputError(why) from error
            log.warning("file.not_sealed", message=why)
            recovered.awaited.append(file)
            continue
        (recovered.sealed if is_there else recovered.lost).append(file)
        if ahead:
            recovered.ahead.append(file)
    return recovered


def _deliver(
    ledger: Ledger, place: Place, file: UnsealedFile, recovered: Recovered, delivered: Collection[str]
) -> None:
    """Deliver what the ledger keeps of a file, unless it was delivered already."""
    was_delivered = bool(file.records) and (file.name in delivered or place.has(file.name))
    if was_delivered or not file.records:
        ledger.sealed(file.file_id)
    elif place.along is not None:
        ledger.seal_along(file, place.along)
    else:
        ledger.intend_seal(file.file_id)
        place.deliver(file.name, ledger.kept(file))
        ledger.sealed(file.file_id)
    recovered.sealed.append(file)
    if was_delivered and not file.seal_intended:
        recovered.ahead.append(file)
    log.info("file.recovered", file=file.name, directory=file.directory, records=file.records)


def _was_sealed(files: Files, file: UnsealedFile, path: Path, delivered: Collection[str]) -> bool:
    """Return whether a file that isn't hidden any more has its final name, or had it."""
    return file.name in delivered or files.size(path.with_name(file.name)) is not None


def _finish(ledger: Ledger, files: Files, file: UnsealedFile, path: Path) -> bool:
    """Seal a file as far as it is committed, or forget what is committed of a lost one; return whether it exists."""
    final = path.with_name(file.name)
    size = files.size(path)
    if file.seal_intended and size is None:
        ledger.sealed(file.file_id)  # it was renamed, and a reader may have moved it
        log.info("file.recovered", file=file.name, directory=str(path.parent), records=file.records)
    elif not file.records:
        files.remove(path)
        ledger.sealed(file.file_id)
    elif size is not None and size >= file.bytes:
        files.truncate(path, file.bytes)
        ledger.intend_seal(file.file_id)
        try:
            files.rename(path, final)
        except OSError:
            if files.size(path) is not None or files.size(final) is None:  # it was not renamed
                ledger.withdraw_seal(file.file_id)
            raise
        ledger.sealed(file.file_id)
        cut_off = size - file.bytes
        log.info("file.recovered", file=file.name, directory=str(path.parent), records=file.records, cut_off=cut_off)
    else:
        slices = ledger.lost(file.file_id)
        log.error("file.lost", file=file.name, directory=file.directory, slices_asked_again=slices)
        return False
    return True


def log_awaited(awaited: Iterable[UnsealedFile], collect: str) -> None:
    """Log files in directories that this process doesn't see. `collect` is the beginning of that command."""
    for file in awaited:
        log.warning(
            "file.awaited",
            file=file.name,
            host=file.host,
            directory=file.directory,
            records=file.records,
            message=why_awaited(file.name, collect, place=file.directory),
        )
