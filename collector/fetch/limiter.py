"""A rate limit that is exact, first come first served, even, and costs no polling.

It owns an asyncio-throttle `Throttler`, whose sliding log of requests is the truth. The throttler's own
waiting is not used: it polls every 10 ms per waiter and isn't first come, first served (docs/adr/0002).
The log itself shows when the next permit is free. After a first burst, permits are free at even intervals,
as in GCRA: a burst that came again in each period would come to the other side closer together than it left.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass

from asyncio_throttle.throttler import Throttler

# Requests that leave evenly arrive with jitter, so the period is kept a little longer than
# configured: whoever counts on the other side, even over slightly shorter windows, counts
# no more than the limit.
_MARGIN_RATIO = 0.015
_MARGIN_S = 0.01
_LONGEST_MARGIN_S = 0.25
# Timers are late, and a busy machine makes them later. What that delays leaves as soon as it can, up to this part of a
# period: it costs no throughput, and the log keeps any window from having more than its requests.
_MADE_UP_RATIO = 0.1


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
    """At most `requests` in any window of `period_s` seconds (and a margin), by the loop's clock.

    Those of a first burst leave at once. From then on, as long as the limit delays any, they leave evenly: so nothing
    is lost by it, and where little is asked nothing waits.
    """

    __slots__ = ("_due_at", "_even_until", "_throttler", "stretch", "unsent")

    def __init__(self, requests: int, period_s: float) -> None:
        margin_s = min(period_s * _MARGIN_RATIO + _MARGIN_S, _LONGEST_MARGIN_S)
        self._throttler = Throttler(rate_limit=requests, period=period_s + margin_s)
        self._even_until = float("-inf")
        self._due_at = float("-inf")  # when the next one leaves, if they leave evenly
        self.unsent = 0  # permits of requests that have not left yet
        self.stretch = 1.0  # of the period, while the API says that it is too short

    def ready_at(self, now: float) -> float | None:
        """Return when the next permit is free: `now`, or the instant at which a request leaves the window.

        None while that depends on requests that have not left: all of them may leave at once.
        """
        self._forget(now)
        over = len(self._log) + self.unsent - self._throttler.rate_limit
        if over >= len(self._log):
            return None
        free_at = now if over < 0 else self._log[over] + self._period
        return max(free_at, self._due_at) if now < self._even_until else free_at

    def take(self, now: float) -> Permit:
        """Take a permit, whether or not one is free."""
        self.unsent += 1
        self._forget(now)
        interval = self._period / self._throttler.rate_limit
        exhausted = len(self._log) + self.unsent >= self._throttler.rate_limit
        is_dense = now < self._even_until and now < self._due_at + interval
        if exhausted or is_dense:
            self._even_until = now + 2 * self._period
        is_late = now - max(interval, self._period * _MADE_UP_RATIO) < self._due_at < now
        self._due_at = (self._due_at if is_late else max(self._due_at, now)) + interval
        return Permit(self)

    def count(self, now: float) -> None:
        """Count a request that leaves now."""
        log = self._log
        if log and now < log[-1]:
            insort(log, now)
        else:
            log.append(now)

    def _forget(self, now: float) -> None:
        """Drop the requests that have left the window."""
        while self._log and self._log[0] <= now - self._period:
            self._log.popleft()

    @property
    def _period(self) -> float:
        period_s: float = self._throttler.period
        return period_s * self.stretch

    @property
    def _log(self) -> deque[float]:
        """The instants at which requests left, oldest first."""
        return self._throttler._task_logs  # noqa: SLF001 - it has no other way to its log
