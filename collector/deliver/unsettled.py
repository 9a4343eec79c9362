"""The runs that wrote to an output directory and whose end the ledger doesn't know, and their files.

Names show which runs these are; only files of those runs are read. Adoption takes them over (`adoption`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Protocol

from collector.core.delivered import DeliveredSlice, Listing, PastManifest, last_line, manifest_of, number_of, slices_of
from collector.errors import OutputError
from collector.ports import Ledger


class Files(Protocol):
    """How the output directory is read; each raises OSError."""

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory, and those in its partitions, with their directories; none without it."""
        ...

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None if it doesn't exist."""
        ...

    def records(self, path: Path) -> bytes | None:
        """Return the records of a sealed file as JSON Lines, whatever its format; None if it doesn't exist.

        Raises ValueError if it is damaged, and MissingExtraError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """The runs that wrote to a directory and whose end the ledger doesn't know.

    `begun` says of each whether the ledger knows that it began: in an ordinary life it was killed. `ended` are those
    that were killed and that a later run has ended. Of those in `vanished` the directory has nothing but a note:
    readers have moved their files away.
    """

    begun: Mapping[str, bool] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    vanished: frozenset[str] = frozenset()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The files of a run that the ledger may not know, oldest first; `all_read`: none of the looked at is gone."""

    names: Sequence[str]
    all_read: bool


def look(
    ledger: Ledger, files: Files, directory: Path, *, noted: Collection[str] = (), interrupted: bool = False
) -> Unsettled:
    """Return the runs in a directory whose end the ledger doesn't know. Raises OutputError and LedgerError.

    `noted` are the runs in its journal. With `interrupted`, also those that a later run ended: it may have looked at
    another directory.
    """
    try:
        listing = Listing.of(files.names(directory))
        ids = listing.files.keys() | listing.manifests | set(noted)
        begun = dict(ledger.unsettled(ids))
        ended = ledger.unsettled(ids, interrupted=True).keys() - begun.keys() if interrupted else frozenset()
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
    return Unsettled(
        begun=begun,
        ended=frozenset(ended & listing.files.keys()),
        vanished=frozenset(begun.keys() - listing.files.keys() - manifests.keys()),
        listing=listing,
        manifests=manifests,
    )


def unknown_files(ledger: Ledger, files: Files, directory: Path, unsettled: Unsettled) -> dict[str, Unknown]:
    """Return the files that the ledger may not know, of each run that is unsettled. Raises OutputError and LedgerError.

    A ledger that knows that a run began, and knows the last record of a file, knows all that the run had delivered by
    then. It may know the records of other runs only because they were emitted again.
    """
    try:
        return {
            run_id: _unknown(ledger, files, directory, unsettled.listing.files.get(run_id, ()), all_=not begun)
            for run_id, begun in {**dict.fromkeys(unsettled.ended, True), **unsettled.begun}.items()
        }
    except OSError as error:
        raise unreadable(directory, error) from error


def _unknown(ledger: Ledger, files: Files, directory: Path, names: Sequence[str], *, all_: bool) -> Unknown:
    if all_:
        return Unknown(names=names, all_read=True)
    unknown: list[str] = []
    all_read = True
    for _, group in groupby(reversed(names), number_of):  # what was one working file is known as a whole, or isn't
        known = True
        for name in group:
            last = slices_in(files, directory / name, newest=True)
            behind = last is not None and ledger.is_behind(last[0])
            unknown += [name] if behind else []
            all_read = all_read and last is not None
            known = known and last is not None and not behind
        if known:
            break
    return Unknown(names=unknown[::-1], all_read=all_read)


def slices_in(files: Files, path: Path, *, newest: bool = False) -> list[DeliveredSlice] | None:
    """Return the slices of a sealed file; None if it is gone or damaged. `newest`: only that of its last record.

    Raises OSError and MissingExtraError.
    """
    try:
        content = files.records(path)
        return slices_of((last_line(content) if newest else content) or b"") or None if content else None
    except ValueError:
        return None


def unreadable(directory: Path, error: OSError) -> OutputError:
    """Return the error for a directory that can't be read."""
    return OutputError(f"the output directory {directory} can't be read: {error.strerror}")
