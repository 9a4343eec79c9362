"""What is left to fetch, as the least time that it can take: of all lanes together, and of each alone.

A lane is *long* if the rest of the run can hardly end before the lane does: each moment in which it sends less than
its own limits allow makes the run longer. Long lanes go first, so the run ends about as early as it can. They are few:
all of them together need no more than the limits for all lanes. The others lose nothing by it but their turn.

Synchronous. Times are in seconds. What is left of an org that is not planned yet is an estimate (`OrgPlan.expected`).
"""

from __future__ import annotations

from collector.fetch.lane import Lane
from collector.fetch.limits import Limits

_LONG = 0.9  # of the least time of the run: estimates are late, and a lane's last requests don't fill its permits
_SMOOTHED = 0.2  # weight of the newest latency
_UNKNOWN_S = 0.1  # the latency before any request has ended: only how lanes compare matters


class Backlog:
    """Knows what is left of each lane that was noted."""

    def __init__(self, limits: Limits) -> None:
        self._concurrency = limits.concurrency
        self._interval_s = limits.rate.period_s / limits.rate.requests
        self._org_concurrency = limits.org_concurrency
        self._org_interval_s = limits.org_rate.period_s / limits.org_rate.requests
        self._mean_s = _UNKNOWN_S
        self._latency_s: dict[Lane, float] = {}
        self._noted: dict[Lane, tuple[int, float]] = {}  # slices, and the seconds that their requests take
        self._slices = 0
        self._work_s = 0.0

    def took(self, lane: Lane, latency_s: float) -> None:
        """Note how long a request took."""
        self._latency_s[lane] = _smoothed(self._latency_s.get(lane), latency_s)
        self._mean_s = _smoothed(self._mean_s if self._latency_s else None, latency_s)

    def note(self, lane: Lane) -> None:
        """Note what is left of a lane now."""
        slices = lane.left
        work_s = slices * self._latency_s.get(lane, self._mean_s)
        slices_before, work_before_s = self._noted.pop(lane, (0, 0.0))
        self._slices += slices - slices_before
        self._work_s += work_s - work_before_s
        if slices:
            self._noted[lane] = slices, work_s

    def is_long(self, lane: Lane) -> bool:
        """Return whether the run can hardly end before this lane does."""
        return self.least_s(lane) >= _LONG * max(self._work_s / self._concurrency, self._slices * self._interval_s)

    def least_s(self, lane: Lane) -> float:
        """Return the least time that the rest of a lane takes, if nothing else delays it."""
        latency_s = self._latency_s.get(lane, self._mean_s)
        return lane.left * max(latency_s / self._org_concurrency, self._org_interval_s)


def _smoothed(before: float | None, now: float) -> float:
    return now if before is None else before + _SMOOTHED * (now - before)
