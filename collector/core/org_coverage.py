"""What is known of an org: the values that `collector status`, the page, `/api/status` and the metrics render.

Each window that is *wanted* and *due* is in one state; one that is not complete is a gap. Never reads a ledger and
renders nothing. Instants are aware datetimes in UTC; texts from the config and from the API are as they came: whoever
renders them escapes them.

A window is *in doubt* while its last records are in a file that a dead process left and nobody has sealed yet. It is
fetched, but not complete: the file may be lost. Until it is sealed the window counts for nothing: not for
`newest_complete`, `lag_s` or `last_success`, and neither its tests nor its usage are shown. Only the credential is
judged by its answer as well: that came.

A window is *unverified* where the API answered zero throughout, so long after it that the API may have deleted the data
(`trust_zero_for`). It is no gap, since no run can do better, but nobody should take it for a measured zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise

from collector.core.anomalies import Anomaly
from collector.errors import RefusalReason
from collector.model import Granularity, Population, ProductUsage, Window


class CoverageState(StrEnum):
    """The state of a wanted, due window, from the best to the worst; and of a day: the worst of its windows."""

    COMPLETE = "complete"
    UNVERIFIED = "unverified"
    IN_DOUBT = "in_doubt"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    MISSING = "missing"  # never fetched
    NOT_DUE = "not_due"  # of days only, as the next one
    NOT_WANTED = "not_wanted"


COUNTED = tuple(CoverageState)[:7]  # of windows
FETCHED = (CoverageState.COMPLETE, CoverageState.UNVERIFIED)  # there is nothing left to fetch
INCOMPLETE = COUNTED[len(FETCHED) :]


@dataclass(frozen=True, slots=True)
class Gaps:
    """How many windows of some orgs a run can still complete, and how many are unverified: those are no gaps.

    The one rule for whoever counts them.
    """

    incomplete: int
    unverified: int

    def __str__(self) -> str:
        also = f", {self.unverified} unverified" if self.unverified else ""
        return f"{self.incomplete} window{'' if self.incomplete == 1 else 's'} not complete{also}"


class CredentialStanding(StrEnum):
    """Whether an org's credential is good, as far as is known."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # not used yet


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialStatus:
    """What is known of an org's credential. Where it is refused: why, since when, and when it is tried again.

    `since` is the first refusal after the last answer, `last_at` the newest. `user` shows which user was refused last,
    without the user's name; a token has none. `changed` is whether the config has another user by now.
    """

    standing: CredentialStanding = CredentialStanding.UNKNOWN
    reason: RefusalReason | None = None
    message: str | None = None
    since: datetime | None = None
    last_at: datetime | None = None
    user: str | None = None
    changed: bool | None = None
    tried_again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Wanted, due windows that follow each other, are in one state, and are not complete."""

    state: CoverageState
    window: Window


@dataclass(frozen=True, slots=True)
class AnomalySpan:
    """Windows that follow each other whose answers look wrong in one way, and the products that it is about, if any."""

    anomaly: Anomaly
    window: Window
    products: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationCoverage:
    """One population of one org. `days` and `tests` are of the same dates, oldest first, and end with `last_day`.

    A window that is longer than a day gives its state to each of its days; its tests are those of the first.
    """

    population: Population
    counts: Mapping[CoverageState, int]  # wanted, due windows; of all time
    first_gap: datetime | None
    last_success: datetime | None  # when a complete answer last came
    newest_complete: datetime | None  # the end of the newest complete window
    newest_due: datetime | None  # the end of the newest due window
    oldest_usage: Window | None
    days: Sequence[CoverageState] = ()
    tests: Sequence[int | None] = ()  # all products' tests of each day; None where that is not known
    gaps: Sequence[Gap] = ()  # the newest, oldest first
    gaps_left_out: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # why windows of these days are not complete, by code
    anomalies: Sequence[AnomalySpan] = ()  # of these days: the newest, oldest first
    anomalies_left_out: int = 0
    newest_usage: Mapping[str, ProductUsage] = field(default_factory=dict)  # by product, of the newest due window
    newest_users: int | None = None

    def count(self, state: CoverageState) -> int:
        """Return how many wanted, due windows are in a state."""
        return self.counts.get(state, 0)

    @property
    def windows(self) -> int:
        """How many windows are wanted and due."""
        return sum(self.counts.values())

    @property
    def incomplete(self) -> int:
        """How many wanted, due windows are not complete."""
        return sum(self.count(state) for state in INCOMPLETE)

    @property
    def lag_s(self) -> float:
        """How far the newest complete window lies behind the newest that is due, in seconds."""
        if self.newest_due is None:
            return 0.0
        behind = self.newest_complete or self.first_gap or self.newest_due
        return max(0.0, (self.newest_due - behind).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgCoverage:
    """One org of the config, and its coverage in the ledger."""

    name: str
    org_id: str | None
    org_name: str | None
    labels: Mapping[str, str]
    timezone: str
    granularity: Granularity
    credential: CredentialStatus
    populations: Sequence[PopulationCoverage]
    last_day: date  # on the org's calendar
    wanted: Sequence[Window] = ()  # whole windows that are wanted and due, as spans, oldest first
    begins_later: datetime | None = None  # the start of the first window that is wanted, if none is due yet
    old_gaps: Sequence[Window] = ()  # of any population, so old that only a backfill fills them

    @property
    def never_wanted(self) -> Sequence[Window]:
        """The holes between the spans that are wanted: no run fetches them, and they count nowhere."""
        return [Window(one.end, other.start) for one, other in pairwise(self.wanted)]

    @property
    def stranded(self) -> Window | None:
        """From the first to the last gap that is so old that only a backfill fills it."""
        return Window(self.old_gaps[0].start, self.old_gaps[-1].end) if self.old_gaps else None

    @property
    def refused(self) -> bool:
        """Whether its credential is refused."""
        return self.credential.standing is CredentialStanding.REFUSED

    def count(self, *states: CoverageState) -> int:
        """Return how many wanted, due windows are in one of those states."""
        return sum(population.count(state) for population in self.populations for state in states)

    @property
    def incomplete(self) -> int:
        """How many wanted, due windows are not complete."""
        return sum(population.incomplete for population in self.populations)

    @property
    def lag_s(self) -> float:
        """The largest lag of its populations, in seconds."""
        return max((population.lag_s for population in self.populations), default=0.0)

    @property
    def last_success(self) -> datetime | None:
        """When a complete answer last came, of whichever population."""
        return max((p.last_success for p in self.populations if p.last_success), default=None)


def gaps_of(orgs: Iterable[OrgCoverage]) -> Gaps:
    """Return how many windows of some orgs are not complete, and how many are unverified."""
    counts = [(org.incomplete, org.count(CoverageState.UNVERIFIED)) for org in orgs]
    return Gaps(sum(one for one, _ in counts), sum(one for _, one in counts))
