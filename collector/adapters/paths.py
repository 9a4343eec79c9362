"""How a message names a file of the config: people paste the secret itself in place of the name of its file."""

from __future__ import annotations

import os
from pathlib import Path


def named(file: Path) -> str:
    """Return the path of a file that exists; of any other, only the directories that exist. It follows "the file"."""
    if os.path.lexists(file):
        return str(file)
    known = next((parent for parent in file.parents if os.path.isdir(parent)), Path())  # noqa: PTH112 - never raises
    return f"named here (of its path, only {str(known).rstrip('/')}/ exists)"
