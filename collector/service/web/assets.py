"""The page's own style, script and icon: read once, and named by what is in them, so that they may be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the page refers to."""

    name: str  # with a digest of its content
    content: bytes
    content_type: str


def load_assets() -> Mapping[str, Asset]:
    """Return the assets by the names that the templates call them."""
    directory = resources.files(__package__).joinpath("static")
    return {file.name: _asset(file.name, file.read_bytes()) for file in directory.iterdir() if file.is_file()}


def _asset(name: str, content: bytes) -> Asset:
    stem, _, suffix = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Asset(f"{stem}-{digest}.{suffix}", content, _TYPES[suffix])
