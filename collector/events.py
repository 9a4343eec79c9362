"""What happens during a run, as values, and how listeners (logs, progress, metrics) receive them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.core.anomalies import Anomaly
from collector.core.finding import Finding
from collector.core.retry import PartialAnswer
from collector.errors import Failure, Refused
from collector.model import Org, Quality, Slice, SliceState


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOutcome:
    """The end of a slice in this run. Partial and complete ones have a finding."""

    slice: Slice
    state: SliceState
    finding: Finding | None
    failure: Failure | None
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgPlanned:
    """The number of slices that this run fetches for an org, as known so far; a later event replaces it."""

    org: Org
    slices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded:
    """One request ended, with an answer or a failure."""

    slice: Slice
    result: str  # "ok", "partial", or the failure's code
    latency_s: float
    waited_s: float  # for limits and permits, after the slice itself was ready to be fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDefect:
    """A defect of ours kept a slice from being fetched or written. The run goes on."""

    slice: Slice
    kind: str  # of the exception
    place: str  # in our code


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCommitted:
    """The end of a slice is written and, with a ledger, committed to it."""

    outcome: SliceOutcome
    records: int
    restated: int = 0  # of the records
    qualities: Mapping[Quality, int] = field(default_factory=dict)  # of the records
    flags: Mapping[Anomaly, Sequence[str]] = field(default_factory=dict)  # with the products of each, if any


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled:
    """A slice will be fetched again."""

    slice: Slice
    reason: Failure | PartialAnswer
    requests: int
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEnded:
    """An org gets no more requests in this run, though it isn't done: it was refused or given up."""

    org: Org
    state: SliceState
    failure: Failure
    remaining: int

    @property
    def refused(self) -> bool:
        """Whether a person has to act."""
        return isinstance(self.failure, Refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDown:
    """All orgs of a host fail. From now on, one request at a time probes it."""

    host: str
    failures: int
    last: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiUp:
    """A host answers again."""

    host: str
    down_s: float


Event = (
    SliceOutcome
    | SliceCommitted
    | SliceDefect
    | OrgPlanned
    | RequestEnded
    | RetryScheduled
    | LaneEnded
    | ApiDown
    | ApiUp
)

Listener = Callable[[Event], None]


def all_of(*listeners: Listener) -> Listener:
    """Return a listener that passes each event to all of these, in this order."""

    def note(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return note
