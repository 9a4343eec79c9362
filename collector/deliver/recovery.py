"""Recovery: seal the unsealed files that killed runs left, by what is committed of them.

Reads hidden files only, never sealed ones: readers may have moved those. A hidden file holds what is
committed, and perhaps more, which is cut off. If the seal was intended and the hidden file is gone, it was
sealed. If it is there, what is still staged of it is renamed (docs/ledger.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import structlog

from collector import disk
from collector.core.layout import sealed_as
from collector.core.ledger_entries import UnsealedFile
from collector.core.outputs import is_remote
from collector.errors import ConfigError, OutputError
from collector.ports import Ledger, Place, SealedFile

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


class Sealing(Protocol):
    """How working files are sealed (`adapters.sinks.sealing`). Each raises OSError; `stage` also other errors."""

    def is_directory(self, directory: Path) -> bool:
        """Return whether a directory exists."""
        ...

    def size(self, directory: Path, name: str) -> int | None:
        """Return the size of a working file; None if there is none."""
        ...

    def is_sealed(self, directory: Path, name: str) -> bool:
        """Return whether sealed files of a working file are in the directory."""
        ...

    def is_renamed(self, name: str) -> bool:
        """Return whether the working file itself gets the sealed name."""
        ...

    def cut(self, directory: Path, name: str, size: int) -> None:
        """Cut a working file to that many bytes, durably."""
        ...

    def stage(self, directory: Path, name: str) -> Sequence[SealedFile]:
        """Make what a working file becomes, durably, and return it; nothing if the working file itself is renamed."""
        ...

    def unstage(self, directory: Path, name: str) -> None:
        """Remove what is staged of a working file."""
        ...

    def publish(self, directory: Path, name: str) -> None:
        """Give all that is staged its name, durably, or the working file if that is renamed."""
        ...

    def is_unpublished(self, directory: Path, name: str, finals: Sequence[str]) -> bool:
        """Return, after `publish` failed, whether each file is known to have kept its hidden name."""
        ...

    def is_gone(self, directory: Path, name: str) -> bool:
        """Return, after `publish` failed, whether the working file is known to be gone."""
        ...

    def forget(self, directory: Path, name: str) -> None:
        """Remove a working file whose records are sealed, durably."""
        ...

    def discard(self, directory: Path, name: str) -> None:
        """Remove a working file and what is staged of it."""
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
    sealing: Sealing,
    find: Callable[[UnsealedFile], Path | None] = at_its_path,
    *,
    own: Path | None = None,
    place: Place | None = None,
    delivered: Collection[str] = (),
) -> Recovered:
    """Finish every file that a dead process left and that can be found.

    The others are awaited: their slices are not fetched again, since the file may still be sealed. So are files
    that can't be sealed in a directory other than our `own`: they must not keep a run from collecting.
    `delivered` are names that manifests list: a restored ledger may not know that such a file was sealed.
    Our own output may be a `place` instead, for files that the ledger keeps.
    Raises OutputError, LedgerError, and ConfigError for a package that isn't installed.
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
        if directory is None or not sealing.is_directory(directory):  # it may be a disk that isn't mounted
            recovered.awaited.append(file)
        else:
            found[file.file_id] = directory
    for file in ledger.take_over([*found, *ours]) if found or ours else ():
        if file.file_id in ours and place is not None:
            _deliver(ledger, place, file, recovered, delivered)
            continue
        directory = found[file.file_id]
        try:
            ahead = not file.seal_intended and _was_sealed(sealing, file, directory, delivered)
            one = replace(file, seal_intended=file.seal_intended or ahead)
            is_there = _finish(ledger, sealing, one, directory)
        except (OSError, OutputError, ConfigError) as error:
            reason = disk.reason_of(error) if isinstance(error, OSError) else str(error)
            why = f"{directory}/{file.name} can't be sealed: {reason}"
            if directory == own:
                raise (ConfigError if isinstance(error, ConfigError) else OutputError)(why) from error
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
    """Deliver what the ledger keeps of a file.

    If it was delivered though nobody meant to, the ledger was restored from a backup: it keeps a part of the file only.
    """
    ahead = not file.seal_intended and (bool(sealed_as(file.name, delivered)) or place.has(file.name))
    if ahead or not file.records or (file.seal_intended and sealed_as(file.name, delivered)):
        ledger.sealed(file.file_id)
    elif place.along is not None:
        ledger.seal_along(file, place.along)
    else:
        ledger.intend_seal(file.file_id)
        place.deliver(file.name, ledger.kept(file))
        ledger.sealed(file.file_id)
    recovered.sealed.append(file)
    if ahead:
        recovered.ahead.append(file)
    log.info("file.recovered", file=file.name, directory=file.directory, records=file.records)


def _was_sealed(sealing: Sealing, file: UnsealedFile, directory: Path, delivered: Collection[str]) -> bool:
    """Return whether a file was sealed, or began to be: some of what it becomes has its final name, or had it."""
    if sealing.is_renamed(file.name) and sealing.size(directory, file.name) is not None:
        return False
    return bool(sealed_as(file.name, delivered)) or sealing.is_sealed(directory, file.name)


def _finish(ledger: Ledger, sealing: Sealing, file: UnsealedFile, directory: Path) -> bool:
    """Seal a file as far as it is committed, or forget what is committed of a lost one; return whether it exists."""
    size = sealing.size(directory, file.name)
    told: dict[str, Any] = {"file": file.name, "directory": str(directory), "records": file.records}
    if file.seal_intended and size is None:  # it was sealed, and a reader may have moved it
        ledger.sealed(file.file_id)
    elif not file.records:
        sealing.discard(directory, file.name)
        ledger.sealed(file.file_id)
        return True
    elif file.seal_intended and not sealing.is_renamed(file.name):  # what is not staged any more has its name
        sealing.publish(directory, file.name)
        sealing.forget(directory, file.name)
        ledger.sealed(file.file_id)
    elif size is not None and size >= file.bytes:
        _seal(ledger, sealing, file, directory)
        told["cut_off"] = size - file.bytes
    else:
        sealing.unstage(directory, file.name)
        slices = ledger.lost(file.file_id)
        log.error("file.lost", file=file.name, directory=file.directory, slices_asked_again=slices)
        return False
    log.info("file.recovered", **told)
    return True


def _seal(ledger: Ledger, sealing: Sealing, file: UnsealedFile, directory: Path) -> None:
    """Cut a file to what is committed of it, and seal it. If it is known not to be, take the intent back."""
    sealing.cut(directory, file.name, file.bytes)
    staged = sealing.stage(directory, file.name)
    ledger.intend_seal(file.file_id)
    try:
        sealing.publish(directory, file.name)
    except OSError:
        names = [one.name for one in staged]
        if sealing.is_unpublished(directory, file.name, names) or sealing.is_gone(directory, file.name):
            ledger.withdraw_seal(file.file_id)
        raise
    sealing.forget(directory, file.name)
    ledger.sealed(file.file_id)


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
