"""The journal of the simulator: requests, exceeded limits, requests in flight.

Owns the counters. Stores no secret, decides no answer and reads no clock: `endpoint` reports the arrival
and the end of each request. The number of entries is limited, so old entries are dropped; counters aren't.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from collector.simulator.limits import Limit, SlidingWindow

CAPACITY = 200_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request to the endpoint. `status` is None until one is sent, if ever."""

    ordinal: int
    arrival_s: float  # monotonic
    org: str | None
    population: str | None
    method: str
    path: str
    query: str  # raw, as received
    user_agent: str | None
    auth_scheme: str | None
    in_flight: int  # of that org, including this one
    in_flight_all: int
    status: int | None = None
    fault: str | None = None  # the kind of fault that determined the answer


@dataclass(slots=True)
class Load:
    """The counters of one org, or of all orgs."""

    window: SlidingWindow | None = None
    asked: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    limit_exceeded: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    first_alone: bool = True
    first_arrival_s: float | None = None
    last_arrival_s: float | None = None
    first_ended: bool = False

    def arrive(self, now_s: float) -> None:
        """Count one more request."""
        self.asked += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.first_arrival_s = now_s if self.first_arrival_s is None else self.first_arrival_s
        self.last_arrival_s = now_s
        if self.asked > 1 and not self.first_ended:
            self.first_alone = False
        if self.window is not None:
            self.limit_exceeded += self.window.is_full(now_s)
            self.window.add(now_s)

    def end(self, status: int | None) -> None:
        """Count the end of a request."""
        self.in_flight -= 1
        self.first_ended = True
        self.answered["none" if status is None else str(status)] += 1

    def as_dict(self) -> dict[str, object]:
        """Return the counters with their names in the control plane."""
        return {
            "asked": self.asked,
            "by_status": dict(self.answered),
            "limit_exceeded": self.limit_exceeded,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "first_alone": self.first_alone,
            "first_arrival_s": self.first_arrival_s,
            "last_arrival_s": self.last_arrival_s,
        }


class Journal:
    """Every request to the endpoint since the start, or since the last reset."""

    def __init__(self, *, limit: Limit | None = None, limit_all: Limit | None = None) -> None:
        self._limit, self._limit_all = limit, limit_all
        self.reset()

    def reset(self) -> None:
        """Clear entries and counters. The end of a request that is in flight is not counted."""
        self.entries: deque[Entry] = deque(maxlen=CAPACITY)
        self.orgs: dict[str, Load] = {}
        self.total = self._load(self._limit_all)
        self.connections = 0

    def arrive(
        self,
        now_s: float,
        *,
        org: str | None,
        population: str | None,
        method: str,
        path: str,
        query: str,
        user_agent: str | None,
        auth_scheme: str | None,
    ) -> Ticket:
        """Record a request that arrived now. Close the returned ticket when it ends."""
        loads = [self.total]
        if org is not None:
            if org not in self.orgs:
                self.orgs[org] = self._load(self._limit)
            loads.insert(0, self.orgs[org])
        for load in loads:
            load.arrive(now_s)
        entry = Entry(
            ordinal=self.total.asked,
            arrival_s=now_s,
            org=org,
            population=population,
            method=method,
            path=path,
            query=query,
            user_agent=user_agent,
            auth_scheme=auth_scheme,
            in_flight=loads[0].in_flight,
            in_flight_all=self.total.in_flight,
        )
        self.entries.append(entry)
        return Ticket(entry, tuple(loads))

    def requests(self, org: str | None = None, limit: int | None = None) -> list[Entry]:
        """Return the newest `limit` requests, of that org or of all, oldest first."""
        newest = self._newest(org)
        picked = list(newest) if limit is None else [entry for _, entry in zip(range(limit), newest, strict=False)]
        return picked[::-1]

    def load(self, org: str) -> Load:
        """Return the counters of that org; all are zero if it sent no request."""
        return self.orgs.get(org) or Load()

    def stats(self) -> dict[str, object]:
        """Return all counters in the form of the control plane."""
        return {
            "connections": self.connections,
            "total": self.total.as_dict(),
            "orgs": {name: load.as_dict() for name, load in sorted(self.orgs.items())},
        }

    def _newest(self, org: str | None) -> Iterator[Entry]:
        return (entry for entry in reversed(self.entries) if org is None or entry.org == org)

    @staticmethod
    def _load(limit: Limit | None) -> Load:
        return Load(None if limit is None else SlidingWindow(limit))


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request in flight."""

    entry: Entry
    loads: tuple[Load, ...]

    def close(self) -> None:
        """Count the request as ended, with the status in its entry."""
        for load in self.loads:
            load.end(self.entry.status)
