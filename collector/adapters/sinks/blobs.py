"""Contents by name at a place that takes them whole: an object store, or a table of a database.

`BlobFiles` gives the code that reads and marks output directories the same operations on such a place: its id, its
journal, and the names and contents of what was delivered.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from collector.adapters.sinks.directory import JOURNAL
from collector.core.outputs import journal_line

_OWNER = "-"  # in the place of a run: the line by which the place is a ledger's


class Blobs(Protocol):
    """Contents by name. Every method raises OutputError."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a content durably, all of it or nothing; return False, and change nothing, if the name is taken.

        An earlier attempt of the same call may have taken it, and its answer was lost.
        """
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Write a content durably, whatever is there."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a content; None if there is none."""
        ...

    def size(self, name: str) -> int | None:
        """Return the size of a content; None if there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a content; no error if there is none."""
        ...

    def listed(self, folder: str) -> Iterable[str]:
        """Return the names in a folder, the empty one for all but the journal's; names are as seen from the folder."""
        ...

    def close(self) -> None:
        """Close the connection. It is opened again when it is needed."""
        ...


class BlobFiles:
    """A place as a directory at the path `root` (`files.OutputFiles`). Names in it may have directories of partitions.

    Nothing can be appended to, except the journal: each of its lines is an object in a folder of its own, so that
    processes that note their runs at the same time don't overwrite each other's lines.
    """

    def __init__(self, blobs: Blobs, root: Path) -> None:
        self._blobs = blobs
        self._root = root

    def make_directory(self, path: Path) -> None:
        """Do nothing: a place is there, or its first use fails."""

    def append(self, path: Path, content: bytes) -> None:
        """Note lines of the journal; no other file grows."""
        if path.name != JOURNAL:
            raise OSError(errno.ENOTSUP, "an object store or a table has no files that grow", str(path))
        for line in content.decode().splitlines():
            run_id, _, ledger_id = line.partition(" ")
            name = _OWNER if run_id == _OWNER else f"{run_id}.{ledger_id}"
            if ledger_id:
                self._blobs.replace(f"{JOURNAL}/{name}", f"{line}\n".encode())

    def create_once(self, path: Path, content: bytes) -> None:
        """Write a file unless it exists."""
        self._blobs.create(self._key(path), content)

    def sync(self, path: Path) -> None:
        """Do nothing: what is written is durable."""

    def remove(self, path: Path) -> None:
        """Remove a file; no error if it is missing."""
        self._blobs.remove(self._key(path))

    def is_directory(self, path: Path) -> bool:
        """Return whether it is the place: if that isn't there, its use fails."""
        return path == self._root

    def size(self, path: Path) -> int | None:
        """Return the size of a file; None if it is missing."""
        return self._blobs.size(self._key(path)) if self._is_here(path) else None

    def names(self, path: Path) -> list[str]:
        """Return the names of what was delivered, with their directories."""
        return [*self._blobs.listed("")] if path == self._root else []

    def read(self, path: Path) -> bytes | None:
        """Return the content of a file; None if it is missing."""
        if not self._is_here(path):
            return None
        return self._journal() if path.name == JOURNAL else self._blobs.read(self._key(path))

    def _is_here(self, path: Path) -> bool:
        return self._root in path.parents

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _journal(self) -> bytes:
        """Return the journal as a directory has it: the line by which a ledger made the place its own comes last.

        Without that line, all runs are of one ledger. Times would not tell: stores note whole seconds.
        """
        names = sorted(self._blobs.listed(JOURNAL))
        parts = [name.rpartition(".") for name in names if name != _OWNER]
        owner = self._blobs.read(f"{JOURNAL}/{_OWNER}") if _OWNER in names else None
        return b"".join(journal_line(run_id, ledger_id) for run_id, _, ledger_id in parts) + (owner or b"")
