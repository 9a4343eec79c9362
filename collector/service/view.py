"""What operators see, as values: made by the loop and the snapshots, rendered by the page, JSON and metrics.

Never decides anything and asks nobody. Instants are aware datetimes in UTC; texts from the
config and from the API are as they came: whoever renders them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from collector.errors import Problem, RefusalReason
from collector.model import Granularity, Population, ProductUsage, SliceState, Window
from collector.run.progress import Progress


class DayState(StrEnum):
    """What a day on an org's calendar shows: the worst of its windows."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    MISSING = "missing"  # wanted, due, and never asked
    NOT_DUE = "not_due"
    NOT_WANTED = "not_wanted"


class Standing(StrEnum):
    """Whether an org's credential is good, as far as is known."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # not asked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialView:
    """What is known of an org's credential. Where it is refused: why, since when, and when it is tried again."""

    standing: Standing = Standing.UNKNOWN
    reason: RefusalReason | None = None
    message: str | None = None
    since: datetime | None = None
    tried_again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Wanted, due windows that follow each other and are in one state other than complete."""

    state: DayState
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationView:
    """One population of one org. `days` and `tests` are of the same dates, oldest first.

    A window that is longer than a day colours each of its days; its tests stand on the first.
    """

    population: Population
    counts: Mapping[str, int]  # wanted, due windows by DayState's words; of all time
    lacking: int  # wanted, due windows that are not complete
    first_gap: datetime | None
    last_success: datetime | None  # when a complete answer last came
    newest_complete: datetime | None  # the end of the newest window that is complete
    newest_due: datetime | None  # the end of the newest window that is due
    oldest_usage: datetime | None
    days: Sequence[DayState] = ()
    tests: Sequence[int | None] = ()  # all products' tests of each day; None where that is not known
    gaps: Sequence[Gap] = ()  # the newest, oldest first
    gaps_left_out: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # why windows of these days are not complete, by code
    newest_usage: Mapping[str, ProductUsage] = field(default_factory=dict)  # by product, of the newest due window
    newest_users: int | None = None

    @property
    def lag_s(self) -> float:
        """How far the newest complete window lies behind the newest that is due, in seconds."""
        if self.newest_due is None:
            return 0.0
        behind = self.newest_complete or self.first_gap or self.newest_due
        return max(0.0, (self.newest_due - behind).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgView:
    """One org of the config, with what the ledger holds of it."""

    name: str
    org_id: str | None
    org_name: str | None
    labels: Mapping[str, str]
    timezone: str
    granularity: Granularity
    credential: CredentialView
    populations: Sequence[PopulationView]
    last_day: date  # of `days` and `tests`, on the org's calendar
    beyond_catch_up: bool = False  # some gaps are so old that only a backfill fills them
    stranded: Window | None = None  # from the first to the last of those

    @property
    def lacking(self) -> int:
        """How many wanted, due windows are not complete."""
        return sum(population.lacking for population in self.populations)

    @property
    def lag_s(self) -> float:
        """The largest lag of its populations, in seconds."""
        return max((population.lag_s for population in self.populations), default=0.0)

    @property
    def last_success(self) -> datetime | None:
        """When a complete answer last came, of whichever population."""
        return max((p.last_success for p in self.populations if p.last_success), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run that ended."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime
    exit_code: int | None  # None: it was interrupted, or ended by an exception
    why: str  # in words, what the exit code means, or the exception's kind
    planned: int = 0
    states: Mapping[SliceState, int] = field(default_factory=dict)
    records: int = 0
    requests: int = 0
    exception: str | None = None  # its kind, where one ended the run


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRun:
    """The run under way. `progress` goes on counting."""

    run_id: str
    started_at: datetime
    progress: Progress


@dataclass(slots=True, kw_only=True)
class Observed:
    """Everything that operators see. Owned by the event loop: written and read there alone."""

    version: str
    started_at: datetime
    config_path: str
    config_loaded_at: datetime
    config_problems: Sequence[Problem] = ()  # of a newer config that was refused: the old one stays
    config_refused_at: datetime | None = None
    warnings: Sequence[str] = ()
    cron: str = ""
    timezone: str = "UTC"
    next_run: datetime | None = None
    current: CurrentRun | None = None
    runs: Sequence[RunView] = ()  # newest first
    orgs: Mapping[str, OrgView] = field(default_factory=dict)  # by name, in the order of the config
    snapshot_at: datetime | None = None  # None: the ledger has not been read yet
    stopping: bool = False
