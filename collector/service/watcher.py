"""Whether the config, a file of orgs, or a secret has changed. It polls, since mounts send no notification.

Kubernetes swaps a symlink, editors rename, secrets managers rewrite. All of them change the file
behind a path, so its fingerprints are compared. A change counts once two looks see the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

Fingerprint = tuple[tuple[str, ...], ...]


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Return a value that differs when the content of any file does; a missing file has a fingerprint, too."""
    return tuple(sorted(_of(file) for file in files))


def _of(file: Path) -> tuple[str, ...]:
    try:
        status = file.stat()
    except OSError as error:
        return (str(file), type(error).__name__)
    return (
        str(file),
        os.path.realpath(file),
        f"{status.st_dev}.{status.st_ino}",
        f"{status.st_size}",
        f"{status.st_mtime_ns}",
        f"{status.st_ctime_ns}",
    )


class Watcher:
    """Compares one look with the next."""

    def __init__(self) -> None:
        self._loaded: Fingerprint | None = None
        self._last: Fingerprint | None = None

    def loaded(self, seen: Fingerprint) -> None:
        """Note the fingerprint with which the config was loaded, or refused."""
        self._loaded = self._last = seen

    def changed(self, seen: Fingerprint) -> bool:
        """Return whether there is something new to load: other than what was loaded, and no longer changing."""
        at_rest = seen == self._last
        self._last = seen
        return at_rest and seen != self._loaded
