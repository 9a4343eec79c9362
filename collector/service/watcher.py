"""Whether the config, a file of orgs, or a secret has changed. It polls, since many mounts send no notification.

Kubernetes swaps a symlink, editors rename, secrets managers rewrite. All of them change the file
behind a path, so its fingerprints are compared. A change counts once two looks see the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

Fingerprint = tuple[int, ...]


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Return a value that differs when the content of any file does; a missing file has a fingerprint, too.

    A service does this for ever: one system call a file, and nothing that stays in memory but a number.
    """
    return tuple(sorted(_of(str(file)) for file in files))


def _of(file: str) -> int:
    """Return a hash: of the file behind a symlink, so another file there has another one."""
    try:
        status = os.stat(file)  # noqa: PTH116 - a Path costs more than the call itself
    except OSError as error:
        return hash((file, type(error).__name__))
    return hash(
        (file, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
    )


class Watcher:
    """Compares one look with the next."""

    def __init__(self) -> None:
        self._loaded: Fingerprint | None = None
        self._last: Fingerprint | None = None

    @property
    def settled(self) -> bool:
        """Whether the last look saw what was loaded."""
        return self._loaded is not None and self._last == self._loaded

    def loaded(self, seen: Fingerprint) -> None:
        """Note the fingerprint with which the config was loaded, or refused."""
        self._loaded = self._last = seen

    def changed(self, seen: Fingerprint) -> bool:
        """Return whether there is something new to load: other than what was loaded, and no longer changing."""
        at_rest = seen == self._last
        self._last = seen
        return at_rest and seen != self._loaded
