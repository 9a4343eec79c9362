"""What operators see of the service, as values: the loop and the viewer make them, page, JSON and metrics render them.

Never decides anything. What is known of orgs is `core.org_coverage`. Instants are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from collector.app.invocation import Invocation
from collector.core.budgets import BudgetStanding
from collector.core.ledger_entries import RemovedOrg
from collector.core.org_coverage import OrgCoverage
from collector.errors import Problem
from collector.model import SliceState
from collector.run.progress import Progress

RUNS_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run that ended."""

    run_id: str
    command: str
    started_at: datetime
    ended_at: datetime
    exit_code: int | None  # None: it was interrupted, or ended by an exception
    why: str  # in words, what the exit code means, or the exception's kind
    counted: bool = True  # whether the numbers are known: the ledger has none of a run
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
    command: str = "serve"


class Part(StrEnum):
    """What the service needs. The first one in trouble is the reason that is shown."""

    LEDGER = "ledger"
    COVERAGE = "coverage"  # what is read from the ledger
    OUTPUT = "output"


@dataclass(slots=True, kw_only=True)
class Observed:
    """Everything that operators see. Owned by the event loop: written and read there alone."""

    version: str
    started_at: datetime
    config_path: str
    state: str | None = None  # the ledger's URL, as commands are given it (`Invocation`)
    output: str | None = None  # the directory of the records
    config_loaded_at: datetime
    shard: str | None = None  # which one this is, as `--shard` says it
    shards: int = 1  # services that share the orgs of the config, this one included
    config_problems: Sequence[Problem] = ()  # of a newer config that was refused: the old one stays
    config_refused_at: datetime | None = None
    warnings: Sequence[str] = ()
    cron: str = ""
    timezone: str = "UTC"
    next_run: datetime | None = None
    reconcile_cron: str | None = None  # None: never
    next_reconcile: datetime | None = None
    current: CurrentRun | None = None
    runs: Sequence[RunView] = ()  # of the service, newest first
    beside: Sequence[RunView] = ()  # of other commands on the same ledger, newest first
    orgs: Mapping[str, OrgCoverage] = field(default_factory=dict)  # by name, in the order of the config
    removed: Sequence[RemovedOrg] = ()  # that the config no longer has, by name
    snapshot_at: datetime | None = None  # None: the ledger has not been read yet
    budgets: Sequence[BudgetStanding] = ()  # in the order of the config; of a shard: of its orgs
    budgets_read_at: datetime | None = None  # when that was read; None: not yet
    troubles: Mapping[Part, str] = field(default_factory=dict)  # why a part can't be used now
    back_at: datetime | None = None  # when ledger or output last came back
    stopping: bool = False

    @property
    def invocation(self) -> Invocation:
        """What commands that are shown need, to mean this config, ledger and output."""
        return Invocation(config=self.config_path, state=self.state, output=self.output)

    @property
    def all_runs(self) -> list[RunView]:
        """The ended runs that are listed, newest first. Those of the service are known with their numbers."""
        by_id = {run.run_id: run for run in (*self.beside, *self.runs)}
        return sorted(by_id.values(), key=lambda run: run.started_at, reverse=True)[:RUNS_SHOWN]

    def note_trouble(self, part: Part, why: str | None) -> None:
        """Note why a part can't be used; None: it can. What was handed out before stays as it was."""
        others = {one: text for one, text in self.troubles.items() if one is not part}
        self.troubles = others if why is None else others | {part: why}
