"""Whether the config, a file of orgs, or a secret has changed: told by looking, since mounts tell nobody.

Kubernetes swaps a symlink, editors rename, secrets managers rewrite: what all of them change
is what a path leads to, so that is compared, and only once it has come to rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

Fingerprint = tuple[tuple[str, ...], ...]


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Return what tells the present content of files from any other; a missing one has a fingerprint, too."""
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
        """Note what was there when the config was loaded, or tried to be."""
        self._loaded = self._last = seen

    def changed(self, seen: Fingerprint) -> bool:
        """Say whether there is something new to load: it differs from what was loaded, and has come to rest."""
        at_rest = seen == self._last
        self._last = seen
        return at_rest and seen != self._loaded
