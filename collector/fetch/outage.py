"""Telling a host that is down from orgs that fail: then one request at a time probes it.

While a host is down, the clocks of its slices stand still (`uptime`) and probes don't count as their
attempts, so that an outage of minutes costs no slice its budget. Each host of the config is judged by
itself: orgs on another host go on. An outage begins with the first failure since the last answer: when a
host is found to be down, it has been down since then. So one that hangs is given up after the budget, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.core.retry import RetryPolicy, backoff_s
from collector.errors import Failure

HUNG = "timeout"  # the code of a request that got no complete answer in time
_FAILURES = 10  # in a row, with no sign of life from any org in between; or all of the budget without one
_ORGS = 10  # that they came from at least, or all if there are fewer,
_SHARE = 20  # or one in so many: orgs that fail for good are left over at the end of a run


@dataclass(slots=True, eq=False)
class Outage:
    """Whether one host is down. All times are the loop's, in seconds."""

    host: str
    policy: RetryPolicy
    orgs: set[str] = field(default_factory=set)  # of which this run has slices to fetch, by name
    tried: set[str] = field(default_factory=set)  # that any request was sent for
    down_since: float | None = None
    probing: bool = False  # whether a probe is under way
    probe_at: float = 0.0
    failures: int = 0
    last: Failure | None = None  # the failure of the last request
    _failing_since: float | None = None  # when the first request of those that failed was sent
    _failing: set[str] = field(default_factory=set)
    _probes: int = 0
    _downtime_s: float = 0.0

    @property
    def down(self) -> bool:
        """Whether the host is down."""
        return self.down_since is not None

    def uptime(self, now: float) -> float:
        """Return a clock, in seconds, that stands still while the host is down."""
        return (self.down_since if self.down_since is not None else now) - self._downtime_s

    @property
    def ends_at(self) -> float | None:
        """When the host is given up; None while it is not down."""
        return None if self.down_since is None else self.down_since + self.policy.budget_s

    def spent(self, now: float) -> bool:
        """Return whether the host has been down for as long as the budget allows."""
        return self.ends_at is not None and now >= self.ends_at

    def failed(self, org: str, failure: Failure, *, sent_at: float, now: float) -> bool:
        """Note a request that brought no answer; return whether the host counts as down from now on.

        A request that hung says little as long as there are orgs that were not tried: theirs may be answered.
        """
        self.last = failure
        self.failures += 1
        self._failing.add(org)
        if self._failing_since is None:
            self._failing_since = sent_at
        if self.down or (failure.code == HUNG and len(self.tried) < len(self.orgs)):
            return False
        orgs = len(self.orgs)
        if len(self._failing) < min(orgs, max(_ORGS, orgs // _SHARE)):
            return False
        if self.failures < _FAILURES and now - self._failing_since < self.policy.budget_s:
            return False
        self.down_since = self._failing_since
        self._probes = 0
        return True

    def probed(self, now: float, jitter: float) -> None:
        """Note that a probe failed: the next one waits longer."""
        self._probes += 1
        self.probe_at = now + backoff_s(self._probes, policy=self.policy, jitter=jitter)

    def alive(self, now: float) -> float | None:
        """Note a sign of life; return for how many seconds the host was down, if it was."""
        self.failures = 0
        self._failing.clear()
        self._failing_since = None
        if self.down_since is None:
            return None
        down_s = now - self.down_since
        self._downtime_s += down_s
        self.down_since = None
        return down_s
