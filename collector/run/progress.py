"""How far a run is, counted from its events: for the bar on a terminal and for the status page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from collector.events import ApiDown, ApiUp, Event, LaneEnded, OrgPlanned, RetryScheduled, SliceOutcome
from collector.model import SliceState


@dataclass(slots=True)
class Progress:
    """The numbers of a run under way. `left` and `planned` are slices by org, as far as is known."""

    left: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    done: int = 0
    orgs_done: int = 0  # with nothing left
    retries: int = 0
    hosts_down: set[str] = field(default_factory=set)
    states: Counter[SliceState] = field(default_factory=Counter)

    def note(self, event: Event) -> None:
        """Count an event."""
        match event:
            case SliceOutcome():
                self.states[event.state] += 1
                self._end(event.slice.org.name, 1)
            case LaneEnded():
                if event.failure.code == "api_down":  # given up: nothing probes the host any more
                    self.hosts_down.discard(event.org.host)
                self.states[event.state] += event.remaining
                self._end(event.org.name, event.remaining)
            case OrgPlanned():
                self._plan(event.org.name, event.slices)
            case RetryScheduled():
                self.retries += 1
            case ApiDown():
                self.hosts_down.add(event.host)
            case ApiUp():
                self.hosts_down.discard(event.host)
            case _:
                pass

    @property
    def api_down(self) -> bool:
        """Whether a host is down, and probed."""
        return bool(self.hosts_down)

    @property
    def orgs(self) -> int:
        """How many orgs have anything planned, as far as is known."""
        return len(self.left)

    @property
    def total(self) -> int:
        """How many slices are planned, as far as is known."""
        return sum(self.planned.values())

    @property
    def partial(self) -> int:
        """How many slices ended partial."""
        return self.states[SliceState.PARTIAL]

    @property
    def failed(self) -> int:
        """How many slices failed, or were given up."""
        return self.states[SliceState.FAILED] + self.states[SliceState.NOT_ASKED]

    @property
    def refused(self) -> int:
        """How many slices were refused."""
        return self.states[SliceState.REFUSED]

    def _plan(self, org: str, slices: int) -> None:
        if org not in self.left:
            self.left[org] = 0
            self.orgs_done += 1
        self._set_left(org, self.left[org] + slices - self.planned.get(org, 0))
        self.planned[org] = slices

    def _end(self, org: str, slices: int) -> None:
        if org not in self.left:  # it ended before it was planned
            self._plan(org, slices)
        self.done += slices
        self._set_left(org, max(0, self.left[org] - slices))

    def _set_left(self, org: str, slices: int) -> None:
        self.orgs_done += bool(self.left[org]) - bool(slices)
        self.left[org] = slices
