"""What the ledger holds, as values: organizations, slices, files and the processes that work on them.

Instants are aware datetimes in UTC. Never reads or writes anything. `docs/ledger.md` is the theory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from collector.core.anomalies import Anomalies
from collector.core.coverage import Known
from collector.core.emission import Emission
from collector.errors import Refused
from collector.model import Org, Population, SliceState, Window

RECONCILE = "reconcile"  # the command that compares what was collected with the API's totals
RELABEL = "relabel"  # the command whose runs fetch nothing: they emit what the ledger has once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger holds of an org at the start of a run."""

    key: int  # the ledger's own
    org_id: str | None  # None until an answer names it
    wanted_from: datetime  # the start of what is wanted without end
    calendar_since: datetime | None  # where the present calendar began, if another came before
    cut_over: CutOver | None = None  # if it begins by this call, and leaves time out
    org_name: str | None = None  # the organization's, by its last answer


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarChanged:
    """The windows of an org by the config overlap with windows that are covered: days would count twice."""

    zone: str  # what the ledger holds
    granularity: str
    rules: str | None  # of the zone; None if they were never noted
    covered_until: datetime  # the end of the newest covered window that the config's calendar doesn't have
    standing: Standing | None = field(default=None, compare=False)  # of the org's row, as `register` found it


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOver:
    """A new calendar of an org begins later than what is wanted and not complete: no run fetches that any more."""

    zone: str  # of the old calendar
    granularity: str
    rules: str | None
    begins: datetime  # the new calendar
    left_out: Sequence[Window]  # for at least one population; no two of them touch


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCalendar:
    """A calendar that an org had before its present one: no run fetches its windows any more."""

    zone: str
    granularity: str
    since: datetime | None  # None: it was the first one
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedOrg:
    """An org that the config no longer has, and that nobody has forgotten."""

    key: int
    name: str  # the one last used
    org_id: str | None
    org_name: str | None
    since: datetime  # when a run first found it gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that works on orgs."""

    holder_id: str
    host: str
    pid: int
    command: str
    since: datetime

    @property
    def text(self) -> str:
        """Return which process it is, for messages."""
        return f"`{self.command}`, pid {self.pid} on {self.host}, running since {self.since:%Y-%m-%d %H:%M} UTC"


class SliceKey(NamedTuple):
    """Where a slice stands in the ledger. It is looked up several times for each slice, and a tuple is hashed fast."""

    key: int
    population: Population
    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """What the ledger holds of a slice."""

    start: datetime
    end: datetime
    known: Known
    code: str | None  # why it isn't complete
    asked_at: datetime
    emission: Emission | None
    naming: int | None = None  # see `Known`
    anomalies: Anomalies = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The records of a slice that were restated, as they were before, and the run that restated them."""

    emission: Emission
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """Records of a slice that were restated: as they were before, when the new ones were emitted, and by which run."""

    slice: SliceKey
    at: datetime
    run_id: str
    replaced: Emission


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCommit:
    """What is to be written of a slice."""

    slice: SliceKey
    end: datetime
    state: SliceState
    code: str | None  # why it isn't complete
    asked_at: datetime
    complete_at: datetime | None
    emission: Emission | None
    naming: int | None = None  # see `Known`
    anomalies: Anomalies = field(default_factory=dict)
    replaced: Replaced | None = None  # None: nothing is restated


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialUse:
    """What came of the use of an org's credential: a refusal, or an answer."""

    org: Org
    at: datetime
    refused: Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulSlice:
    """A slice whose records are in an unsealed file of a dead process."""

    slice: SliceKey
    window: Window
    file: str  # its name


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsealedFile:
    """A file that a run began: `bytes` and `records` are what is committed; more than that is cut off.

    It is in the directory that has `place` as its id, whatever its path is now; without an id, at its path.
    """

    file_id: int
    run_id: str
    directory: str
    name: str  # the name that it will have when it is sealed
    bytes: int
    records: int
    seal_intended: bool
    host: str | None = None  # the machine that wrote it
    place: str | None = None
