"""Rate limits, as sliding windows over arrivals.

Owns the arithmetic of `N requests per period`. Reads no clock and answers no request.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from collector.simulator.durations import parse_duration

# Evenly sent requests arrive with jitter, so the window is a little shorter than the period.
WINDOW_SHARE = 0.98
_LIMIT = re.compile(r"([1-9]\d{0,6})/(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `requests` in any `period_s` seconds."""

    requests: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Parse a limit such as `2/1s`. Raises ValueError."""
        match = _LIMIT.fullmatch(text.strip())
        period_s = parse_duration(match[2]) if match else None
        if match is None or not period_s:
            raise ValueError(f"{text!r} is not a limit: write REQUESTS/PERIOD, such as 2/1s or 100/1m")
        return cls(requests=int(match[1]), period_s=period_s)

    def __str__(self) -> str:
        return f"{self.requests}/{self.period_s:g}s"


class SlidingWindow:
    """The latest arrivals, and whether one more exceeds the limit."""

    def __init__(self, limit: Limit) -> None:
        self._window_s = limit.period_s * WINDOW_SHARE
        self._last: deque[float] = deque(maxlen=limit.requests)

    def is_full(self, now_s: float) -> bool:
        """Return whether an arrival now would exceed the limit."""
        last = self._last
        return len(last) == last.maxlen and now_s - last[0] < self._window_s

    def add(self, now_s: float) -> None:
        """Count an arrival."""
        self._last.append(now_s)


class Gate:
    """Enforces the limits: admits or rejects each request."""

    def __init__(self, *, limit: Limit | None, limit_all: Limit | None) -> None:
        self._limit = limit
        self._all = SlidingWindow(limit_all) if limit_all else None
        self._orgs: dict[str, SlidingWindow] = {}

    def admit(self, org: str | None, now_s: float) -> bool:
        """Return whether the request is within the limits. A rejected request isn't counted."""
        windows = [window for window in (self._all, self._of(org)) if window is not None]
        if any(window.is_full(now_s) for window in windows):
            return False
        for window in windows:
            window.add(now_s)
        return True

    def _of(self, org: str | None) -> SlidingWindow | None:
        if org is None or self._limit is None:
            return None
        if org not in self._orgs:
            self._orgs[org] = SlidingWindow(self._limit)
        return self._orgs[org]
