"""Outputs that take whole files only: which adapter stands behind the URL in `output.path`."""

from __future__ import annotations

from collector.adapters.sinks.files import OsFiles, OutputFiles
from collector.adapters.sinks.object_store import ObjectPlace, ObjectStore
from collector.config import Settings
from collector.core.outputs import is_remote


def open_place(settings: Settings) -> ObjectPlace | None:
    """Return the output if it is an object store; None for a directory and stdout. Raises OutputError."""
    if not is_remote(settings.output.path):
        return None
    return ObjectPlace(ObjectStore(settings.output.path), settings.output.layout)


def files_of(settings: Settings) -> OutputFiles:
    """Return how the output of a config is read and marked. Raises OutputError."""
    place = open_place(settings)
    return OsFiles() if place is None else place.files
