"""When the next request of one org may leave: its permits, its rate, and the pauses that the API demands."""

from __future__ import annotations

from collector.core.pace import recover, slow_down
from collector.core.retry import RetryPolicy
from collector.errors import Failure, Retriable
from collector.fetch.limiter import Limiter, Permit


class OrgPace:
    """The org's own limits. All times are the loop's, in seconds."""

    __slots__ = ("_limiter", "_policy", "_slowed_at", "in_flight", "paused_until", "permits")

    def __init__(self, limiter: Limiter, *, permits: int, policy: RetryPolicy) -> None:
        self.permits = permits
        self.in_flight = 0
        self.paused_until = 0.0
        self._limiter = limiter
        self._policy = policy
        self._slowed_at = float("-inf")

    def ready_at(self, now: float, *, permits: int) -> float | None:
        """Return when the next request may leave if so many may be in flight; None while that is unknown."""
        if self.in_flight >= permits:
            return None
        free_at = self._limiter.ready_at(now)
        return None if free_at is None else max(free_at, self.paused_until)

    def take(self, now: float) -> Permit:
        """Take the permit of a request."""
        self.in_flight += 1
        return self._limiter.take(now)

    def end(self, permit: Permit, now: float) -> None:
        """Note that a request is over."""
        self.in_flight -= 1
        permit.end(now)

    def answered(self) -> None:
        """Note an answer: the rate recovers a little."""
        self._limiter.stretch = recover(self._limiter.stretch)

    def failed(self, failure: Failure, *, sent_at: float, now: float) -> None:
        """Heed what a failed request says about the rate: pause for `Retry-After`, or slow down after a 429."""
        if not isinstance(failure, Retriable):
            return
        if failure.retry_after_s:
            pause_s = min(failure.retry_after_s, self._policy.budget_s)
            self.paused_until = max(self.paused_until, now + pause_s)
        elif failure.rate_limited and sent_at > self._slowed_at:
            # Requests sent before the last slow-down say nothing about the pace since.
            self._slowed_at = now
            self._limiter.stretch = slow_down(self._limiter.stretch)
