"""Bounds how often the same thing is logged, where others decide how often it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

_EVERY_S = 10.0
_KINDS = 100


class Repeats:
    """Counts what happens again and again, by its kind: up to so many `kinds`."""

    def __init__(
        self, every_s: float = _EVERY_S, *, kinds: int = _KINDS, time_s: Callable[[], float] | None = None
    ) -> None:
        self._every_s = every_s
        self._kinds = kinds
        self._time_s = time_s or _now_s
        self._logged: dict[Hashable, tuple[float, int]] = {}  # when, and how often since then

    def due(self, kind: Hashable) -> int | None:
        """Return how often it happened since it was last logged. None if that is not long ago: don't log it."""
        now = self._time_s()
        at, repeated = self._logged.get(kind, (None, 0))
        if at is not None and now - at < self._every_s:
            self._logged[kind] = at, repeated + 1
            return None
        if len(self._logged) >= self._kinds:
            self._logged.clear()
        self._logged[kind] = now, 0
        return repeated


def _now_s() -> float:
    return time.monotonic()
