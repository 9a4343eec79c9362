"""The rules of time zones: those of the package `tzdata`, wherever the program runs.

Never reads the system's database (nor PYTHONTZPATH): its rules may differ, and then the same day would begin at
another instant, under another record id.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo  # noqa: TID251 - the one place that reads rules

import tzdata

VERSION: str = tzdata.IANA_VERSION  # such as 2026f


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset(files(tzdata).joinpath("zones").read_text(encoding="utf-8").split())


@cache  # one object for a name, as ZoneInfo itself has it
def zone_info(name: str) -> tuple[ZoneInfo, str]:
    """Return a zone, and the text by which its rules are compared: the version, and a digest of the content.

    Raises ValueError for a name that doesn't exist.
    """
    if name not in zone_names():
        raise ValueError(f"unknown time zone {name!r}")
    content = files(tzdata).joinpath("zoneinfo", *name.split("/")).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return ZoneInfo.from_file(BytesIO(content), key=name), f"{VERSION} {digest}"
