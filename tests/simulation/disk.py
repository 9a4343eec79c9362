"""A disk in memory: what programs see of it, what a loss of power leaves, and what stands under sealed names.

It has the rules of a journaling file system and of fsync(2): content is durable once its file was synced,
names once their directory was; names that were not are lost from the newest back. The steps of `Files` are
those of `OsFiles`, and between any two of them the process may be killed or the disk refuse.
"""

from __future__ import annotations

import errno
import io
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from tests.simulation.trace import Broken


@dataclass(slots=True, eq=False)
class File:
    """An inode."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    new: bool = True  # its name is not durable
    dirty: bool = False  # something that a sync would write
    writer: Hand | None = None  # who has it open


@dataclass(slots=True)
class Disk:
    """`names` is what programs see; `changes` are those of names that aren't durable yet, oldest first."""

    rng: random.Random
    names: dict[Path, File] = field(default_factory=dict)
    changes: list[dict[Path, File]] = field(default_factory=list)  # `names` as it was before each
    taken: dict[Path, bytes] = field(default_factory=dict)  # sealed files that readers have moved away
    losses: int = 0  # of power
    tampered: int = 0  # hidden files that someone has removed or cut
    cut: set[Path] = field(default_factory=set)  # the latter, and those that a restored ledger doesn't know

    def change(self) -> None:
        """Note that a name is about to change."""
        self.changes.append(dict(self.names))

    def sync_names(self) -> None:
        self.changes.clear()

    def lose_power(self) -> None:
        """Keep what is durable, and some of what is not."""
        self.losses += 1
        if self.changes:
            kept = self.rng.randint(0, len(self.changes))
            if kept < len(self.changes):
                self.names = self.changes[kept]
            self.changes.clear()
        for file in self.names.values():
            rest = bytes(file.content[len(file.durable) :])
            if not file.content.startswith(file.durable):
                rest = b""  # it was cut
            written = self.rng.randint(0, len(rest))
            left = file.durable + rest[:written]
            if self.rng.random() < 0.2:
                left += bytes(len(rest) - written)  # the size was written, the content wasn't
            file.content, file.durable, file.dirty = bytearray(left), left, False

    def sealed(self) -> dict[Path, bytes]:
        """Return all that stands under names that are not hidden, moved away or not."""
        here = {path: bytes(file.content) for path, file in self.names.items() if not is_hidden(path)}
        return self.taken | here

    def hidden(self) -> list[Path]:
        return sorted(path for path in self.names if path.name.endswith(".unsealed"))

    def readers_come(self) -> int:
        """Move some of the sealed files away, durably, as readers may at any time."""
        there = sorted(path for path in self.names if not is_hidden(path))
        moved = [path for path in there if self.rng.random() < 0.6]
        for path in moved:
            if path in self.taken:
                raise Broken("sealed", f"{path} appears a second time")
            self.taken[path] = bytes(self.names.pop(path).content)
        if moved:
            self.sync_names()
        return len(moved)

    def tamper(self, intended: Collection[str]) -> str | None:
        """Let someone remove or cut a hidden file while nobody works.

        One whose seal is intended is only cut: if it is gone, it counts as renamed (docs/ledger.md), and nothing tells.
        """
        hidden = [path for path in self.hidden() if path.name.startswith(".usage-")]
        if not hidden:
            return None
        path = self.rng.choice(hidden)
        file = self.names[path]
        self.tampered += 1
        removed = self.rng.random() < 0.5 or not file.content
        if removed and path.name.removeprefix(".").removesuffix(".unsealed") not in intended:
            del self.names[path]
            how = "removed"
        else:
            del file.content[self.rng.randrange(len(file.content) or 1) :]
            self.cut.add(path)
            how = f"cut to {len(file.content)} bytes"
        file.durable = bytes(file.content)
        self.sync_names()
        return f"{path.name} is {how}"


class Hand(Protocol):
    """The process that does something: it may be killed before or after, and it is told that the disk is full."""

    def gone(self) -> bool:
        """Say whether the process has ended."""
        ...

    def point(self, what: str) -> None:
        """Be at a point between two steps."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def disk_refuses(self, operation: str) -> bool:
        """Say whether the disk refuses an operation now."""
        ...


@dataclass(slots=True)
class SimFiles:
    """One process's view of the disk (`collector.adapters.sinks.files.Files`)."""

    disk: Disk
    hand: Hand
    latency: Callable[[], float]

    def make_directory(self, path: Path) -> None:
        self.hand.point(f"mkdir {path.name}")

    def append(self, path: Path, content: bytes) -> None:
        self._begin(f"append {path.name} {len(content)}")
        file = self._file(path)
        refused = bool(content) and self.hand.disk_refuses("append")
        torn = self.disk.rng.randrange(len(content)) if content else 0
        file.content += content[:torn]
        file.dirty = True
        if refused:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.hand.point("half appended")
        file.content += content[torn:]
        self.hand.point("appended")

    def create_once(self, path: Path, content: bytes) -> None:
        self._begin(f"create {path.name}")
        if path not in self.disk.names:
            self.disk.change()
            self.disk.names[path] = File(bytearray(content), durable=content, new=False)
        self.hand.point("created")
        self.disk.sync_names()

    def create(self, path: Path) -> BinaryIO:
        if path in self.disk.names:
            raise FileExistsError(errno.EEXIST, "File exists")
        return _Stream(self, path)

    def scratch(self, directory: Path) -> BinaryIO:
        self._begin(f"scratch {directory.name}")
        return io.BytesIO()

    def pieces(self, path: Path) -> Iterator[bytes]:
        content = self.read(path)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        yield from (content[at : at + 1000] for at in range(0, len(content), 1000))

    def truncate(self, path: Path, size: int) -> None:
        self._begin(f"truncate {path.name} {size}")
        if path not in self.disk.names:
            raise OSError(errno.ENOENT, "No such file or directory")
        self._unsealed(path)
        file = self.disk.names[path]
        del file.content[size:]
        file.dirty = True
        self.hand.point("cut")
        self.sync(path)

    def sync(self, path: Path) -> None:
        self._begin(f"sync {path.name}")
        file = self._file(path)
        if self.hand.disk_refuses("sync"):
            file.dirty = False  # the kernel forgets what it couldn't write
            raise OSError(errno.EIO, "Input/output error")
        if file.dirty:
            file.durable = bytes(file.content)
            file.dirty = False
        self.hand.point("synced")
        if file.new:
            file.new = False
            self.disk.sync_names()
            self.hand.point("name synced")

    def rename(self, old: Path, new: Path) -> None:
        self._begin(f"rename {old.name}")
        if old not in self.disk.names:
            raise OSError(errno.ENOENT, "No such file or directory")
        if self.hand.disk_refuses("rename"):
            raise OSError(errno.ENOSPC, "No space left on device")
        self._unsealed(new)
        self.disk.change()
        self.disk.names[new] = self.disk.names.pop(old)
        self.hand.point("renamed")
        self.disk.sync_names()
        self.hand.point("names synced")

    def remove(self, path: Path) -> None:
        self._begin(f"remove {path.name}")
        self._unsealed(path)
        if path in self.disk.names:
            self.disk.change()
            del self.disk.names[path]
        self.hand.point("removed")

    def sync_names(self, directory: Path) -> None:
        self._begin(f"sync {directory.name}")
        self.disk.sync_names()

    def remove_abandoned(self, path: Path) -> None:
        file = self.disk.names.get(path)
        if file is not None and (file.writer is None or file.writer.gone()):
            self.remove(path)

    def size(self, path: Path) -> int | None:
        self.hand.point(f"size {path.name}")
        file = self.disk.names.get(path)
        return None if file is None else len(file.content)

    def is_directory(self, path: Path) -> bool:
        return path.is_absolute()  # no disk is unmounted here

    def names(self, path: Path) -> list[str]:
        below = [there.relative_to(path).parts[0] for there in self.disk.names if path in there.parents]
        return list(dict.fromkeys(below))

    def read(self, path: Path) -> bytes | None:
        file = self.disk.names.get(path)
        return None if file is None else bytes(file.content)

    def close(self) -> None:
        pass

    def _begin(self, what: str) -> None:
        self.hand.point(what)
        self.hand.wait(self.latency())

    def _file(self, path: Path) -> File:
        self._unsealed(path)
        if path not in self.disk.names:
            self.disk.change()
            self.disk.names[path] = File()
        self.disk.names[path].writer = self.hand
        return self.disk.names[path]

    def _unsealed(self, path: Path) -> None:
        if not is_hidden(path) and (path in self.disk.names or path in self.disk.taken):
            raise Broken("sealed", f"{path} is touched again")


class _Stream(io.BytesIO):
    """A file that is being created: written at once, when it is closed."""

    def __init__(self, files: SimFiles, path: Path) -> None:
        super().__init__()
        self._files, self._path = files, path

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._files.append(self._path, self.getvalue())
            self._files.sync(self._path)


def is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
