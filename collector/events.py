"""What happens during a run, as values, and how listeners (logs, progress, metrics) receive them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.core.anomalies import Anomalies
from collector.core.finding import Finding
from collector.core.ledger_entries import Holder
from collector.core.naming import Named
from collector.core.retry import PartialAnswer
from collector.errors import Failure, Refused
from collector.model import Org, Population, Quality, Slice, SliceState, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOutcome:
    """The end of a slice in this run. Partial and complete ones have a finding, or restate what was emitted before."""

    slice: Slice
    state: SliceState
    finding: Finding | None
    failure: Failure | None
    requests: int
    restates: Named | None = None  # the records stay as they are, but for names and labels
    as_before: bool = False  # what the ledger has of it stays: it was compared, and nothing is written


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgPlanned:
    """How many slices of an org this run fetches, as far as is known now; a later event replaces it."""

    org: Org
    slices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded:
    """One request ended, with an answer or a failure."""

    slice: Slice
    result: str  # "ok", "partial", or the failure's code
    latency_s: float
    waited_s: float  # for limits and permits, after the slice itself was ready


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDefect:
    """A defect of ours kept a slice from being fetched or written. The run goes on."""

    slice: Slice
    kind: str  # of the exception
    place: str  # in our code


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCommitted:
    """The end of a slice is written and committed."""

    outcome: SliceOutcome
    records: int
    restated: int = 0  # of the records
    qualities: Mapping[Quality, int] = field(default_factory=dict)  # of the records
    flags: Anomalies = field(default_factory=dict)
    kept: Sequence[str] = ()  # products whose earlier, larger numbers stay


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled:
    """A slice will be requested again."""

    slice: Slice
    reason: Failure | PartialAnswer
    requests: int
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdditive:
    """Totals of an org's population don't add up over adjoining windows: no more is concluded from differences."""

    org: Org
    population: Population
    span: Window  # whose total should have been the expected one


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEnded:
    """Nothing more of an org is fetched in this run, though it isn't complete: refused, or given up."""

    org: Org
    state: SliceState
    failure: Failure
    remaining: int

    @property
    def refused(self) -> bool:
        """Whether a person has to act."""
        return isinstance(self.failure, Refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAwaited:
    """A run begins to wait for orgs that another process works on. Once for each such process."""

    orgs: Sequence[str]
    holder: Holder
    wait_s: float  # at most


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseWaitEnded:
    """A run waits for no org any more. It has the leases, or has given up the orgs that are `busy`."""

    waited_s: float
    busy: Mapping[str, Holder]


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
    | NotAdditive
    | ApiDown
    | ApiUp
    | LeaseAwaited
    | LeaseWaitEnded
)

Listener = Callable[[Event], None]


def all_of(*listeners: Listener) -> Listener:
    """Return a listener that passes each event to all of these, in this order."""

    def note(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return note
