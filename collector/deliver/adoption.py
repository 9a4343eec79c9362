"""Adoption: a ledger that is behind its output directory learns what was delivered meanwhile.

So it is after a backup of the ledger was restored. Its next revisions follow those in the sealed files. Names show
which runs the ledger doesn't know to their end; only files of those runs are read (docs/ledger.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from collector.core.delivered import (
    Adopted,
    DeliveredSlice,
    Listing,
    PastManifest,
    PastRun,
    last_line,
    manifest_of,
    slices_of,
)
from collector.errors import OutputError
from collector.ports import Ledger

log = structlog.get_logger("collector")

_NAMED = 20  # runs, in a message


class Files(Protocol):
    """How the output directory is read; each raises OSError."""

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory; none if it doesn't exist."""
        ...

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None if it doesn't exist."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """The runs that wrote to a directory and whose end the ledger doesn't know.

    `begun` says of each whether the ledger knows that it began: in an ordinary life it was killed.
    """

    begun: Mapping[str, bool] = field(default_factory=dict)
    listing: Listing = field(default_factory=lambda: Listing.of(()))
    manifests: Mapping[str, PastManifest] = field(default_factory=dict)

    @property
    def listed(self) -> Mapping[str, frozenset[str]]:
        """The names that manifests list, by run: they were sealed, wherever they are now."""
        listed: dict[str, frozenset[str]] = defaultdict(frozenset)
        for manifest in self.manifests.values():
            for run_id, names in manifest.files.items():
                listed[run_id] |= set(names)
        return listed

    @property
    def delivered(self) -> frozenset[str]:
        """All names that manifests list."""
        return frozenset(name for names in self.listed.values() for name in names)


def look(ledger: Ledger, files: Files, directory: Path) -> Unsettled:
    """Return the runs in a directory whose end the ledger doesn't know. Raises OutputError and LedgerError."""
    try:
        listing = Listing.of(files.names(directory))
        begun = dict(ledger.unsettled(listing.files.keys() | listing.manifests))
        manifests = {}
        for run_id in sorted(begun.keys() & listing.manifests):
            content = files.read(directory / f"run-{run_id}.json")
            if content is not None and (manifest := manifest_of(content)):
                manifests[run_id] = manifest
            elif run_id not in listing.files:
                del begun[run_id]  # it isn't a manifest
    except OSError as error:
        raise unreadable(directory, error) from error
    if also := {run_id for manifest in manifests.values() for run_id in manifest.files} - begun.keys():
        begun |= ledger.unsettled(also)
    return Unsettled(begun=begun, listing=listing, manifests=manifests)


def adopt(
    ledger: Ledger, files: Files, directory: Path, unsettled: Unsettled, *, ahead: bool, now: datetime
) -> Adopted | None:
    """Take over what the unsettled runs delivered and the ledger doesn't know; return None if it knows everything.

    `ahead`: recovery has found a file sealed that the ledger had not sealed. Each file is one transaction, the
    oldest first, and the runs come last: so a killed adoption is continued. Raises OutputError and LedgerError.
    """
    restored = ahead or not all(unsettled.begun.values())
    listed = unsettled.listed
    taken, slices, past = 0, 0, []
    for run_id, begun in sorted(unsettled.begun.items()):
        names = unsettled.listing.files.get(run_id, ())
        missing = listed.get(run_id, frozenset()) - set(names)
        try:
            unknown, all_read = _unknown(ledger, files, directory, names)
            for name in unknown:
                found = _slices(files.read(directory / name))
                all_read = all_read and found is not None
                ledger.adopt(found or ())
                slices += len(found or ())
        except OSError as error:
            raise unreadable(directory, error) from error
        taken += len(unknown)
        read = not restored or (all_read and not missing)  # else a reader has moved it just now
        if not begun or not read or run_id in unsettled.manifests:
            past.append(_past(run_id, unsettled, read=read, now=now))
    ledger.adopt_runs(past)
    if not (restored or taken):
        return None
    adopted = Adopted(
        runs=sum(not begun for begun in unsettled.begun.values()),
        files=taken,
        slices=slices,
        unread=tuple(run.run_id for run in past if not run.read),
    )
    _log(adopted, directory)
    return adopted


def _unknown(ledger: Ledger, files: Files, directory: Path, names: Sequence[str]) -> tuple[list[str], bool]:
    """Return a run's files that the ledger doesn't know, oldest first, and whether each last record could be read.

    A ledger that knows the last record of a file knows all that the run had delivered by then.
    """
    unknown: list[str] = []
    all_read = True
    for name in reversed(names):
        last = _slices(last_line(files.read(directory / name)))
        if last is None:
            all_read = False
        elif ledger.is_behind(last[0]):
            unknown.append(name)
        else:
            break
    return unknown[::-1], all_read


def _slices(content: bytes | None) -> list[DeliveredSlice] | None:
    """Return the slices of a file's content; None if the file is gone or a line is no record."""
    try:
        return slices_of(content) if content else None
    except ValueError:
        return None


def _past(run_id: str, unsettled: Unsettled, *, read: bool, now: datetime) -> PastRun:
    """Return a run as its manifest has it, else by the manifests that list its files, else as one that ends now."""
    own = unsettled.manifests.get(run_id)
    naming = [manifest.run.ended_at for manifest in unsettled.manifests.values() if run_id in manifest.files]
    ended_at = own.run.ended_at if own else max(naming, default=now)
    return PastRun(
        run_id=run_id,
        command=own.run.command if own else "",
        started_at=own.run.started_at if own else ended_at,
        ended_at=ended_at,
        exit_code=own.run.exit_code if own else None,
        read=read,
    )


def _log(adopted: Adopted, directory: Path) -> None:
    message = (
        "the ledger is behind its output directory, as one that was restored from a backup is. The revisions of the "
        "sealed files are taken over. The ledger doesn't have the ranges that a `backfill` or a `collect` was given "
        "since the backup: run these commands again, so that late changes of their windows are fetched, too"
    )
    if adopted.unread:
        message += (
            f". Files of {len(adopted.unread)} runs are gone or can't be read: records of windows that began before "
            "those runs ended are emitted again, with higher revisions (docs/runbook.md)"
        )
    log.warning(
        "ledger.behind",
        directory=str(directory),
        runs=adopted.runs,
        files=adopted.files,
        slices=adopted.slices,
        unread=list(adopted.unread[:_NAMED]),
        message=message,
    )


def unreadable(directory: Path, error: OSError) -> OutputError:
    """Return the error for a directory that can't be read."""
    return OutputError(f"the output directory {directory} can't be read: {error.strerror}")
