"""Parse durations such as `200ms`, `20s`, `10m`, `6h`, `3d`."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}


def parse_duration(text: str) -> float | None:
    """Return the duration in seconds, or None if the text is not a duration. Only 0 needs no unit."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or (match[2] is None and float(match[1])):
        return None
    return float(match[1]) * _UNIT_S[match[2]]
