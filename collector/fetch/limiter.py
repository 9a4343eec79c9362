"""A rate limit that is exact, first come first served, and costs no polling.

It owns an asyncio-throttle `Throttler`, whose sliding log of requests is the truth. The throttler's own
waiting is not used: it polls every 10 ms per waiter and isn't first come, first served (docs/adr/0002).
The log itself shows when the next permit is free.
"""

from __future__ import annotations

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
    """A request's share of a limit: it counts until the request has left, and for a period from then."""

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


class Limiter:
    """At most `requests` in any window of `period_s` seconds (and a margin), by the loop's clock."""

    def __init__(self, requests: int, period_s: float) -> None:
        self._throttler = Throttler(rate_limit=requests, period=period_s * (1 + _MARGIN_RATIO) + _MARGIN_S)
        self.unsent = 0  # permits of requests that have not left yet
        self.stretch = 1.0  # of the period, while the API says that it is too short

    def ready_at(self, now: float) -> float | None:
        """Return when the next permit is free: `now`, or the instant at which a request leaves the window.

        None while that depends on requests that have not left: all of them may leave at once.
        """
        log, period = self._log, self._throttler.period * self.stretch
        while log and log[0] <= now - period:
            log.popleft()
        over = len(log) + self.unsent - self._throttler.rate_limit
        if over < 0:
            return now
        return log[over] + period if over < len(log) else None

    def take(self) -> Permit:
        """Take a permit, whether or not one is free."""
        self.unsent += 1
        return Permit(self)

    def count(self, now: float) -> None:
        """Count a request that leaves now."""
        insort(self._log, now)

    @property
    def _log(self) -> deque[float]:
        """The instants at which requests left, oldest first."""
        return self._throttler._task_logs  # noqa: SLF001 - it has no other way to its log
