"""How a file of a directory is sealed: one working file of JSON Lines becomes the sealed files of its layout.

A working file is hidden. A plain one is renamed, and that is all. For any other layout the sealed files are made
first, complete and durable, under hidden names where they will be: they are *staged*. Once the ledger has the intent to
seal, each is renamed, and the working file is removed last. So as long as it is there, whatever is still staged has to
be renamed, if the seal is intended; and is made again, if it isn't.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from collector.adapters.sinks.converting import convert
from collector.adapters.sinks.files import Files, OutputFiles
from collector.core.layout import Layout, RecordsName, is_partition, sealed_as
from collector.ports import SealedFile

_UNSEALED, _STAGED = ".unsealed", ".staged"


def hidden(directory: Path, name: str) -> Path:
    """Return the path that a file has until it is sealed."""
    return directory / f".{name}{_UNSEALED}"


def staged(directory: Path, name: str) -> Path:
    """Return the path at which a converted file waits for its name, which may have directories."""
    final = directory / name
    return final.with_name(f".{final.name}{_STAGED}")


def names_below(files: OutputFiles, directory: Path) -> Iterator[str]:
    """Yield the names in a directory and in its partitions, with their directories. Raises OSError."""
    for name in files.names(directory):
        if is_partition(name) and files.is_directory(directory / name):
            yield from (f"{name}/{below}" for below in names_below(files, directory / name))
        else:
            yield name


def sealed_names(files: Files, directory: Path, working: str) -> list[str]:
    """Return under which names a working file's records are sealed in a directory. Raises OSError."""
    if _layout_of(working).partition_by:
        return sorted(sealed_as(working, list(names_below(files, directory))))
    return [] if files.size(directory / working) is None else [working]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """Seals working files, each by the layout in its name. `labels` have columns of their own."""

    files: Files
    labels: tuple[str, ...] = ()

    def is_directory(self, directory: Path) -> bool:
        """Return whether a directory exists. Raises OSError."""
        return self.files.is_directory(directory)

    def size(self, directory: Path, name: str) -> int | None:
        """Return the size of a working file; None if there is none. Raises OSError."""
        return self.files.size(hidden(directory, name))

    def is_sealed(self, directory: Path, name: str) -> bool:
        """Return whether sealed files of a working file are in the directory. Raises OSError."""
        return bool(sealed_names(self.files, directory, name))

    def is_renamed(self, name: str) -> bool:
        """Return whether the working file itself gets the sealed name."""
        return _layout_of(name).is_plain

    def cut(self, directory: Path, name: str, size: int) -> None:
        """Cut a working file to that many bytes, durably. Raises OSError."""
        self.files.truncate(hidden(directory, name), size)

    def stage(self, directory: Path, name: str) -> list[SealedFile]:
        """Make what a working file becomes, durably, and return it; replace what was staged before.

        Of a plain one there is nothing to make, and nothing to return. Raises OSError, OutputError and
        MissingExtraError: then nothing is staged.
        """
        if self.is_renamed(name):
            return []
        self.unstage(directory, name)
        working = hidden(directory, name)
        found, layout = _sealed(name), _layout_of(name, self.labels)
        try:
            return convert(
                self.files.pieces(working),
                found,
                layout,
                create=lambda final: self._create(directory, final),
                scratch=lambda: self.files.scratch(directory),
            )
        except BaseException:
            with suppress(OSError):  # the first error is raised
                self.unstage(directory, name)
            raise

    def publish(self, directory: Path, name: str, finals: Sequence[str] | None = None) -> None:
        """Give the files of a working file their names, durably; by default all that are staged. Raises OSError."""
        if self.is_renamed(name):
            self.files.rename(hidden(directory, name), directory / name)
            return
        for final in self._staged(directory, name) if finals is None else finals:
            self.files.rename(staged(directory, final), directory / final)

    def is_unpublished(self, directory: Path, name: str, finals: Sequence[str]) -> bool:
        """Return, after `publish` failed, whether each file is known to have kept its hidden name. Raises OSError."""
        if self.is_renamed(name):
            return self.size(directory, name) is not None
        return all(self.files.size(staged(directory, final)) is not None for final in finals)

    def is_gone(self, directory: Path, name: str) -> bool:
        """Return, after `publish` failed, whether the working file is known to be gone. Raises OSError."""
        if self.size(directory, name) is not None:
            return False
        return not self.is_renamed(name) or self.files.size(directory / name) is None

    def forget(self, directory: Path, name: str) -> None:
        """Remove a working file whose records are sealed, durably. Raises OSError."""
        if not self.is_renamed(name):
            self.files.remove(hidden(directory, name))
            self.files.sync_names(directory)

    def discard(self, directory: Path, name: str) -> None:
        """Remove a working file and what is staged of it. Raises OSError."""
        self.files.remove(hidden(directory, name))
        self.unstage(directory, name)

    def unstage(self, directory: Path, name: str) -> None:
        """Remove what is staged of a working file. Raises OSError."""
        if not self.is_renamed(name):
            for final in self._staged(directory, name):
                self.files.remove(staged(directory, final))

    def remove_orphans(self, directory: Path) -> None:
        """Remove what is staged of working files that don't exist: nobody will ever publish it. Raises OSError.

        A working file is there before anything is staged of it, and until all is published. So it is looked for last.
        """
        waiting = [name for name in names_below(self.files, directory) if name.endswith(_STAGED)]
        if waiting:
            names = [
                RecordsName.of(name[1:].removesuffix(_UNSEALED))
                for name in self.files.names(directory)
                if name.endswith(_UNSEALED)
            ]
            alive = {f".{one.sealed}{_STAGED}" for one in names if one}
            for name in waiting:
                if name.rpartition("/")[2] not in alive:
                    self.files.remove(directory / name)

    def _staged(self, directory: Path, name: str) -> list[str]:
        """Return the names that staged files will have."""
        waiting = f".{_sealed(name)}{_STAGED}"
        if not _layout_of(name).partition_by:
            return [] if self.files.size(directory / waiting) is None else [_sealed(name)]
        there = [one.rpartition("/") for one in names_below(self.files, directory)]
        return sorted(f"{below}/{_sealed(name)}" for below, _, last in there if last == waiting)

    def _create(self, directory: Path, final: str) -> BinaryIO:
        path = staged(directory, final)
        self.files.make_directory(path.parent)
        return self.files.create(path)


def _layout_of(name: str, labels: tuple[str, ...] = ()) -> Layout:
    """Return the layout that a working name has; one that isn't ours is plain."""
    found = RecordsName.of(name)
    return replace(found.layout, labels=labels) if found else Layout()


def _sealed(name: str) -> str:
    found = RecordsName.of(name)
    return found.sealed if found else name
