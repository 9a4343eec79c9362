"""A command as it was called, and what the config says about its ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.app.scope import EVERYTHING, Scope
from collector.config import LoadedConfig, Settings
from collector.config.sections import Schedule
from collector.core.coverage import Ages
from collector.core.ledger_entries import RECONCILE, RELABEL
from collector.core.ranges import Range
from collector.core.wanted import Sparse
from collector.core.windows import Calendar, start_of_date
from collector.model import Org


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """What a person permits of the output."""

    elsewhere: bool = False  # the records may go where none of this ledger's went before
    adopt: bool = False  # the output directory of another ledger becomes this one's


NOTHING = Permits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """What a run's Singer messages have in them."""

    selected: Sequence[str] | None = None  # fields; None: all
    bookmark: str | None = None  # of the last STATE
    carry: bool = False  # what the ledger knows: the STATE is all that outlasts the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A run as it was called. `range_` is None for a `collect` without a range."""

    name: str
    range_: Range | None
    scope: Scope = EVERYTHING
    force: bool = False
    sparse: bool = False  # requests for spans find the windows that need one of their own
    permits: Permits = NOTHING
    messages: Messages = Messages()
    wait: timedelta = timedelta(minutes=5)

    @property
    def restates(self) -> bool:
        """Whether it fetches nothing, and emits what the ledger has once more."""
        return self.name == RELABEL

    @property
    def compares(self) -> bool:
        """Whether it compares what the ledger has with the API's totals, and fetches what differs."""
        return self.name == RECONCILE

    @property
    def needs_ledger(self) -> bool:
        """Whether it makes sense only with a ledger that exists: it creates none."""
        return self.restates or self.compares

    @property
    def label(self) -> str:
        """What the ledger calls its runs: those of one shard are not another's."""
        return f"{self.name} {self.scope.shard}" if self.scope.shard else self.name


def has_ledger(config: LoadedConfig) -> bool:
    """Say whether runs of this config remember anything."""
    return config.settings.state.url.get_secret_value() != "none"


def ages_of(schedule: Schedule) -> Ages:
    """Return how old a window may be for what. What the first run looks back for is caught up in any case."""
    return Ages(
        settle=schedule.settle,
        recheck=schedule.recheck,
        repair_for=schedule.repair_for,
        catch_up=max(schedule.catch_up, schedule.lookback),
    )


def sparse_of(settings: Settings) -> Sparse:
    """Return which windows a sparse backfill may infer to be empty."""
    return Sparse(
        trust_zero_for=settings.trust_zero_for,
        rechecked_for=max(settings.schedule.recheck, default=timedelta(0)),
        max_span=settings.api.max_span,
    )


def first_wanted(org: Org, schedule: Schedule, *, now: datetime) -> datetime:
    """Return from when an org is wanted that no run has begun yet."""
    if org.since:
        return start_of_date(org.since, org.zone)
    return Calendar(org.zone, org.granularity).floor(now - schedule.lookback)
