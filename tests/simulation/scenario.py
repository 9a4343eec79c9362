"""What one seed stands for: the orgs, the settings, the history of commands, and all that goes wrong with them.

Values only, drawn once and before anything runs; what happens then is decided by the world with a chance of
its own. Times are seconds of virtual time since the beginning, unless they say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from signal import Signals
from typing import Any

from collector.adapters.sinks.converting import PLAIN
from collector.core.layout import Layout
from collector.core.shards import Shard
from collector.fetch import Limits
from collector.model import Granularity, Population

LONG_WAIT_S = 120.0  # a process that waits so long for an org gets it, whatever another one has left to do with it


class Fault(StrEnum):
    """What the API, or the way to it, does wrong."""

    STORM = "429"
    ERROR = "5xx"
    TIMEOUT = "timeout"
    RESET = "reset"
    BROKEN = "broken"
    PARTIAL = "partial"
    SLOW = "slow"
    STALL = "stall"  # connections take long, then all leave at once
    REFUSED = "refused"
    ZERO = "zero"  # complete, and all zero, where there was usage
    LACKING = "lacking"  # a product is missing from the answer
    SWAPPED = "swapped"  # the credential is another organization's
    DOUBLED = "doubled"  # complete, and all is counted twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A fault that comes and goes; of one org, or of all."""

    fault: Fault
    begins: float
    ends: float
    org: int | None
    share: float  # of the requests
    value: str = ""

    def covers(self, org: int, now: float) -> bool:
        return self.begins <= now < self.ends and self.org in (None, org)

    def touches(self, org: int, begins: float, ends: float) -> bool:
        return self.begins < ends and begins < self.ends and self.org in (None, org)


class Trouble(StrEnum):
    """What the machine does wrong."""

    DISK_FULL = "disk-full"  # of the output
    SYNC_FAILS = "sync-fails"
    LEDGER_FAILS = "ledger-fails"  # nothing is written
    LEDGER_DOUBTFUL = "ledger-doubtful"  # written, and reported as failed


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEpisode:
    """A trouble that comes and goes."""

    trouble: Trouble
    begins: float
    ends: float
    share: float  # of the operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How an organization's numbers behave."""

    idle: float  # the share of windows without any usage
    late: float  # the share of windows whose numbers grow after their end
    late_by: timedelta  # until then at the latest
    corrected: float  # the share of windows whose numbers shrink then
    forgets_after: timedelta | None  # retention: older windows are all zero
    new_product_after: timedelta | None  # since the beginning
    one_product: bool = False  # only the first is used


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSpec:
    """One organization, and its entry in the config."""

    number: int
    zone: str
    granularity: Granularity
    populations: tuple[Population, ...]
    latency: float
    usage: Usage
    since: date | None = None
    pinned: bool = False
    added: int = 0  # the first step whose config has it
    removed: int | None = None  # the first step whose config has it no more
    renamed: int | None = None

    @property
    def org_id(self) -> str:
        return f"id-{self.number}"

    def name(self, step: int) -> str:
        return f"renamed-{self.number}" if self.renamed is not None and step >= self.renamed else f"org-{self.number}"

    def configured(self, step: int) -> bool:
        return self.added <= step and (self.removed is None or step < self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ends if not by itself: at an instant, or at a step of its own towards disk or ledger."""

    at: float | None = None  # seconds after it began
    operation: int | None = None  # the n-th thing it does to disk or ledger, from 1
    point: str | None = None  # counted are only those whose description begins so
    power: bool = False  # the machine goes down with it
    tampered: bool = False  # before it is called again, someone removes or cuts what looks like a left-over
    signal: Signals | None = None  # drained instead; `again`: the second signal, so much later
    again: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command that is called, as often as it takes to outlive its endings."""

    command: str
    delay: float = 0.0  # after the step's beginning
    first_day: date | None = None
    last_day: date | None = None
    force: bool = False
    sparse: bool = False
    only: tuple[int, ...] = ()  # orgs; all if empty
    shard: Shard | None = None
    directory: int = 0
    wait: float = 60.0
    endings: tuple[Ending, ...] = ()
    clock_jump: tuple[float, timedelta] | None = None  # while it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens at one time: one command, or several beside each other."""

    begins: float
    launches: tuple[Launch, ...]
    clock_jump: timedelta = timedelta(0)
    readers_come: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """The ledger is replaced by its backup: which was taken at `backup`, also in mid-run, before the step `step`."""

    backup: float
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All that a seed stands for."""

    seed: int
    start: datetime
    orgs: tuple[OrgSpec, ...]
    limits: Limits
    timeout: float
    schedule: dict[str, Any]
    trust_zero_for: timedelta
    seal_at: int
    readers_every: float  # seconds between visits of readers while processes run; 0 for none
    episodes: tuple[Episode, ...] = ()
    machine: tuple[MachineEpisode, ...] = ()
    steps: tuple[Step, ...] = field(default_factory=tuple)
    restore: Restore | None = None
    relabels: bool = False  # labels change from step to step
    layouts: tuple[Layout, ...] = (PLAIN,)  # of the files: each process has one of them
    reconciles: bool = False  # at the end, everything is compared with the API's totals

    @property
    def quiet_from(self) -> float:
        """When all that goes wrong has ended, except what lasts for good."""
        ends = [e.ends for e in self.episodes if e.ends < float("inf")] + [e.ends for e in self.machine]
        return max([*ends, *(step.begins for step in self.steps)])

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, from {self.start:%Y-%m-%d %H:%M} UTC",
            f"limits {self.limits}, timeout {self.timeout:g} s, seal at {self.seal_at} bytes",
            f"schedule {self.schedule}, trust_zero_for {self.trust_zero_for}, readers every {self.readers_every:g} s",
            *(f"org {org}" for org in self.orgs),
            *(f"api {episode}" for episode in self.episodes),
            *(f"machine {episode}" for episode in self.machine),
            f"layouts {[layout.working_name('RUN', 1) for layout in self.layouts]}",
            f"restore {self.restore}",
            *(f"step {n} {step}" for n, step in enumerate(self.steps)),
        ]
        return "\n".join(lines)
