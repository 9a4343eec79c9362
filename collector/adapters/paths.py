"""Paths that messages show: files of the config, of which people paste the secret itself, and places with a URL."""

from __future__ import annotations

import os
from pathlib import Path, PosixPath


def named(file: Path) -> str:
    """Return the path of a file that exists; of any other, only the directories that exist. It follows "the file"."""
    if os.path.lexists(file):
        return str(file)
    known = next((parent for parent in file.parents if os.path.isdir(parent)), Path())  # noqa: PTH112 - never raises
    return f"named here (of its path, only {str(known).rstrip('/')}/ exists)"


class UrlPath(PosixPath):
    """The URL of a place, where code expects the path of a directory: names can be joined to it.

    No file operation of the operating system makes sense with it.
    """

    def __str__(self) -> str:
        """Return the URL."""
        return super().__str__().replace(":/", "://", 1)


def place_path(text: str) -> Path:
    """Return the path of an output: of a directory, or the URL of a place."""
    return UrlPath(text) if "://" in text else Path(text)
