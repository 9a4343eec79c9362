"""A rate limit that is exact, first come first served, and costs no polling.

Built on asyncio-throttle: its sliding log of requests is the truth here too. What it
lacks is added: it polls every 10 ms per waiter and lets whoever wakes first go first;
here the log itself says when the next permit is free.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from dataclasses import dataclass

from asyncio_throttle.throttler import Throttler

# Requests that leave evenly arrive with jitter, so the period is kept a little longer than
# configured: whoever counts on the other side, even over slightly shorter windows, counts
# no more than the limit.
_MARGIN_RATIO = 0.05
_MARGIN_S = 0.02


@dataclass(slots=True, eq=False)
class Permit:
    """A request's share of a limit: it counts as long as the request has not left, and for a period from then."""

    limiter: Limiter
    unsent: bool = True

    def sent(self, now: float) -> None:
        """Count the request from now: connecting may have taken a while."""
        if self.unsent:
            self.unsent = False
            self.limiter.unsent -= 1
        self.limiter.count(now)

    def end(self, now: float) -> None:
        """Count a request that never left from now: it may have left without being noticed."""
        if self.unsent:
            self.sent(now)


class Limiter(Throttler):
    """At most `requests` in any window of `period_s` seconds (and a margin), by the loop's clock."""

    rate_limit: int
    period: float
    _task_logs: deque[float]

    def __init__(self, requests: int, period_s: float) -> None:
        super().__init__(rate_limit=requests, period=period_s * (1 + _MARGIN_RATIO) + _MARGIN_S)
        self.unsent = 0  # permits of requests that have not left yet
        self.stretch = 1.0  # of the period, while the other side says that it is too short
        self._turn = asyncio.Lock()  # asyncio's locks are first come, first served

    def flush(self) -> None:
        """Forget the requests that no longer count."""
        horizon = asyncio.get_running_loop().time() - self.period * self.stretch
        while self._task_logs and self._task_logs[0] <= horizon:
            self._task_logs.popleft()

    def ready_at(self, now: float) -> float | None:
        """Return when the next permit is free: `now`, or the instant at which a request leaves the window.

        None while that depends on requests that have not left: all of them may leave at once.
        """
        self.flush()
        over = len(self._task_logs) + self.unsent - self.rate_limit
        if over < 0:
            return now
        return self._task_logs[over] + self.period * self.stretch if over < len(self._task_logs) else None

    def take(self) -> Permit:
        """Take a permit, whether or not one is free."""
        self.unsent += 1
        return Permit(self)

    def count(self, now: float) -> None:
        """Count a request that leaves now."""
        insort(self._task_logs, now)

    async def acquire(self) -> None:
        """Wait for a permit and take it, for a request that leaves at once."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while (free_at := self.ready_at(now := loop.time()) or now) > now:  # noqa: ASYNC110 - sleeps exactly as long
                await asyncio.sleep(free_at - now)
            self.count(loop.time())
