"""The hosts that this run sends requests to: which is down, which is given up, whose clock differs from ours.

Owns the outages of all hosts. It notes each reply, and says what follows for the lanes of its host; it sends
nothing and closes no lane. It judges a host by the reply alone: that the answer is of the wrong organization, or
of a busy one, says nothing about the host.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.core.coverage import CLOCK_TOLERANCE
from collector.core.response import Reply, clock_skew
from collector.errors import Broken, Failure, Rejected, Retriable
from collector.events import ApiDown, ApiUp, Event
from collector.fetch.lane import Lane
from collector.fetch.outage import Outage
from collector.model import Answer

CLOCK = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostVerdict:
    """What a reply means for all lanes of its host."""

    freed: bool = False  # other lanes may send now
    closed: Failure | None = None  # why nothing more is fetched from it


class Hosts:
    """What is known of each host. All times are the loop's, in seconds."""

    def __init__(self, lanes: Sequence[Lane], *, emit: Callable[[Event], None], rng: random.Random) -> None:
        self._lanes: dict[Outage, list[Lane]] = {}
        for lane in lanes:
            self._lanes.setdefault(lane.outage, []).append(lane)
        self._emit = emit
        self._rng = rng

    @property
    def next_end(self) -> float | None:
        """When a host that is down is given up; None while none is down."""
        return min((end for outage in self._lanes if (end := outage.ends_at) is not None), default=None)

    def lanes_beside(self, lane: Lane) -> list[Lane]:
        """Return all lanes of a lane's host."""
        return self._lanes[lane.outage]

    def in_turn(self, lane: Lane) -> list[Lane]:
        """Return the open lanes of a lane's host: first those that have not failed, each by its last request.

        So probes go round over all of them, and begin with orgs that were not tried or that were answered last.
        """
        lanes = [other for other in self._lanes[lane.outage] if not other.done]
        return sorted(lanes, key=lambda other: (other.failed, other.requested_at))

    def expect(self, lane: Lane) -> None:
        """Note that there are slices to fetch of a lane's org."""
        lane.outage.orgs.add(lane.org.name)

    def begin(self, lane: Lane) -> bool:
        """Note that a lane's request is sent now; return whether it is a probe."""
        outage = lane.outage
        outage.tried.add(lane.org.name)
        outage.probing = outage.probing or outage.down
        return outage.down

    def wrong_clock(self, lane: Lane, reply: Reply, now: datetime) -> Rejected | None:
        """Return why a reply is not used, if the host's clock and ours differ too much."""
        skew = clock_skew(reply, now=now)
        if skew is None or abs(skew) <= CLOCK_TOLERANCE:
            return None
        side = "ahead of" if skew > timedelta(0) else "behind"
        return Rejected(
            code=CLOCK,
            message=(
                f"this machine's clock is {abs(skew)} {side} that of {lane.outage.host}: this run commits "
                "nothing more for the orgs on this host, because it can't know which windows are due. "
                "Set the clock (NTP), then run again"
            ),
        )

    def note(self, lane: Lane, result: Answer | Failure, *, sent_at: float, now: float, probe: bool) -> HostVerdict:
        """Tell a host that is down from an org that fails, by what a request brought."""
        outage = lane.outage
        if probe:
            outage.probing = False
        freed = probe
        match result:
            case Retriable(reused_connection=True):
                pass  # it says nothing about the host
            case Broken() | Retriable(rate_limited=False):
                if outage.failed(lane.org.name, result, sent_at=sent_at, now=now):
                    self._emit(ApiDown(host=outage.host, failures=outage.failures, last=result))
                if probe or outage.down:
                    outage.probed(now, self._rng.random())
            case _:
                down_s = outage.alive(now)
                if down_s is not None:
                    freed = True
                    self._emit(ApiUp(host=outage.host, down_s=down_s))
        closed = result if isinstance(result, Rejected) and result.code == CLOCK else None
        return HostVerdict(freed=freed, closed=closed)

    def given_up(self, now: float) -> Iterator[tuple[Sequence[Lane], Failure]]:
        """Yield the lanes of each host that was down for the whole budget, and why they end.

        Close the lanes before you take the next: only then the host's outage is over.
        """
        for outage, lanes in self._lanes.items():
            if outage.spent(now):
                yield lanes, _down(outage)
                outage.alive(now)


def _down(outage: Outage) -> Retriable:
    why = f" (last: {outage.last.message})" if outage.last is not None else ""
    return Retriable(
        code="api_down",
        message=(
            f"{outage.host} or the network to it is down: no request was answered until the retry budget was spent "
            f"(orgs tried: {len(outage.tried)}){why}"
        ),
    )
