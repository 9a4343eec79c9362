"""Bounds how often the same thing is logged, where others decide how often it happens."""

from __future__ import annotations

import time
from collections.abc import Hashable

_EVERY_S = 10.0
_KINDS = 100


class Repeats:
    """Counts what happens again and again, by its kind."""

    def __init__(self) -> None:
        self._logged: dict[Hashable, tuple[float, int]] = {}  # when, and how often since then

    def due(self, kind: Hashable) -> int | None:
        """Return how often it happened since it was last logged. None if that was within ten seconds: don't log it."""
        at, repeated = self._logged.get(kind, (-_EVERY_S, 0))
        if (now := time.monotonic()) - at < _EVERY_S:
            self._logged[kind] = at, repeated + 1
            return None
        if len(self._logged) >= _KINDS:
            self._logged.clear()
        self._logged[kind] = now, 0
        return repeated
