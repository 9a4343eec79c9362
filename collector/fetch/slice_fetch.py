"""One slice, or a span, on its way to an outcome, through as many requests as it takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.core.finding import Finding, absorb
from collector.errors import Failure
from collector.events import SliceOutcome
from collector.fetch.limiter import Permit
from collector.model import Answer, Slice, SliceState, Span

_FREE_RETRIES = 2


@dataclass(slots=True, eq=False)
class SliceFetch:
    """What is known of a slice in this run. `since_s` is the uptime at its first request, in seconds."""

    slice: Slice
    since_s: float
    requests: int = 0  # that count as attempts
    probes: int = 0  # that don't
    finding: Finding | None = None
    failure: Failure | None = None
    sent_at: float = 0.0
    last_chance: bool = False  # whether its org had refused before the request that is under way
    permit: Permit | None = None  # of the org's limit, for the request that is under way
    waited_s: float = 0.0  # for limits and permits, before the last request
    _free_retries: int = 0
    _reasons: dict[type, int] = field(default_factory=dict)

    def answered(self, answer: Answer) -> None:
        """Take what an answer proves. Of a span it is no finding: its numbers are of no slice."""
        if not isinstance(self.slice, Span):
            self.finding = absorb(self.finding, answer)
        self.failure = None

    def take_free_retry(self) -> bool:
        """Return whether a request that broke on a reused connection may be repeated without counting as an attempt."""
        if self._free_retries >= _FREE_RETRIES:
            return False
        self._free_retries += 1
        self.probes += 1
        return True

    def count(self, reason: object) -> int:
        """Count a reason for a retry and return how often its kind was met."""
        self._reasons[type(reason)] = self._reasons.get(type(reason), 0) + 1
        return self._reasons[type(reason)]

    def outcome(self, otherwise: SliceState, *, of: Slice | None = None) -> SliceOutcome:
        """Return how it ended: by what was found, else in the given state. Of a span, one slice ends so (`of`)."""
        match self.finding:
            case None:
                state = otherwise
            case Finding(complete=True):
                state = SliceState.COMPLETE
            case _:
                state = SliceState.PARTIAL
        return SliceOutcome(
            slice=of or self.slice,
            state=state,
            finding=self.finding,
            failure=self.failure,
            requests=self.requests + self.probes,
        )
