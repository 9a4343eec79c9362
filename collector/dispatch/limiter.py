"""A rate limit that is exact, first come first served, and costs no polling.

Built on asyncio-throttle: its sliding log of requests is the truth here too. What it
lacks is added: it polls every 10 ms per waiter and lets whoever wakes first go first;
here the log itself says when the next permit is free.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque

from asyncio_throttle.throttler import Throttler

# Requests that leave evenly arrive with jitter, so the period is kept a little longer than
# configured: whoever counts on the other side, even over slightly shorter windows, counts
# no more than the limit.
_MARGIN_RATIO = 0.05
_MARGIN_S = 0.02


class Limiter(Throttler):
    """At most `requests` in any window of `period_s` seconds (and a margin), by the loop's clock."""

    rate_limit: int
    period: float
    _task_logs: deque[float]

    def __init__(self, requests: int, period_s: float) -> None:
        super().__init__(rate_limit=requests, period=period_s * (1 + _MARGIN_RATIO) + _MARGIN_S)
        self.stretch = 1.0  # of the period, while the other side says that it is too short
        self._turn = asyncio.Lock()  # asyncio's locks are first come, first served

    def flush(self) -> None:
        """Forget the requests that no longer count."""
        horizon = asyncio.get_running_loop().time() - self.period * self.stretch
        while self._task_logs and self._task_logs[0] <= horizon:
            self._task_logs.popleft()

    def ready_at(self, now: float) -> float:
        """Return when the next permit is free: `now`, or the instant at which a request leaves the window."""
        self.flush()
        if len(self._task_logs) < self.rate_limit:
            return now
        return self._task_logs[-self.rate_limit] + self.period * self.stretch

    def take(self, now: float) -> float:
        """Take a permit, whether or not one is free, and return its stamp."""
        insort(self._task_logs, now)
        return now

    def sent(self, stamp: float, now: float) -> None:
        """Count a permit from when its request really left: connecting may have taken a while."""
        if stamp in self._task_logs:
            self._task_logs.remove(stamp)
        insort(self._task_logs, now)

    async def acquire(self) -> None:
        """Wait for a permit and take it."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while (free_at := self.ready_at(now := loop.time())) > now:  # noqa: ASYNC110 - sleeps exactly as long
                await asyncio.sleep(free_at - now)
            self.take(loop.time())
