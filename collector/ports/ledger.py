"""What a run needs of the ledger: values, and the Protocol that the SQL adapter fits.

Synchronous: it is called on the writer's thread only, in the writer's order, so that sink
and ledger have one owner. Instants are aware datetimes in UTC. `docs/ledger.md` is the theory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from collector.core.coverage import Coverage, Known
from collector.core.emission import Emission
from collector.model import Org, Population, ProductUsage, SliceState, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger holds of an org, before it is asked anything."""

    key: int  # the ledger's own
    org_id: str | None  # None until an answer told it
    wanted_from: datetime  # the start of what is wanted without end
    calendar_since: datetime | None  # where the present calendar began, if another came before


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarChanged:
    """The config has another zone or granularity for an org than the ledger: days would overlap."""

    zone: str  # what the ledger holds
    granularity: str
    covered_until: datetime  # the end of its newest window that is complete or partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that works on orgs."""

    holder_id: str
    host: str
    pid: int
    command: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceKey:
    """Where a slice stands in the ledger."""

    key: int
    population: Population
    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """What the ledger holds of a slice."""

    start: datetime
    end: datetime
    known: Known
    emission: Emission | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What is to be written of a slice. `shrunk` is a smaller answer that was kept beside the old one."""

    slice: SliceKey
    end: datetime
    state: SliceState
    code: str | None  # why it isn't complete
    asked_at: datetime
    complete_at: datetime | None
    emission: Emission | None
    shrunk: Mapping[str, ProductUsage] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsealedFile:
    """A file that a run began: `bytes` and `records` are what is booked; more than that is to be cut off.

    It lies in the directory that has `place` as its id, whatever its path is by now; at its path where there is none.
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


class Ledger(Protocol):
    """The durable memory. Every method is one transaction and raises LedgerError if it can't be written or read."""

    @property
    def across_machines(self) -> bool:
        """Whether those who share it may each see other files: then a file's path doesn't tell where it lies."""
        ...

    def register(
        self,
        orgs: Sequence[Org],
        *,
        wanted_from: Mapping[str, datetime],
        now: datetime,
        names: Collection[str] | None = None,
    ) -> Mapping[str, Standing | CalendarChanged]:
        """Find or make the row of each org, by name; `wanted_from` holds for those that have none yet.

        A row is found by the pinned `org_id`, else by the name, else by the credential's user if the row's own
        name is none of the given orgs' (it was renamed). A changed calendar without a `since` at or after the
        end of what is covered is returned as such; then nothing is returned or written of any other.
        """
        ...

    def identified(self) -> Mapping[str, str]:
        """Return which organization is behind each name, for all orgs whose answer told it."""
        ...

    def claim(self, keys: Sequence[int]) -> Mapping[int, Holder]:
        """Take the leases of orgs for this process; return those that another, living one holds."""
        ...

    def release(self, keys: Iterable[int]) -> None:
        """Give leases back."""
        ...

    def identify(
        self, key: int, *, name: str, org_id: str, org_name: str, entry: Org | None = None
    ) -> int | Holder | CalendarChanged:
        """Bind an org to the organization that answered; return the key of its row, whose lease is now held.

        That is another row if the organization is known from another name (a renamed org): if that one's lease
        is held by another process, its holder is returned and nothing has changed; likewise if it was collected
        by another calendar than the `entry` of the config has.
        """
        ...

    def coverage(self, key: int, span: Window) -> Coverage:
        """Return what is known of all slices of an org that start within a span."""
        ...

    def rows(self, slices: Sequence[SliceKey]) -> Mapping[SliceKey, SliceRow]:
        """Return what is held of slices; those that were never asked are left out."""
        ...

    def want(self, key: int, span: Window) -> None:
        """Remember a range that a backfill was asked for."""
        ...

    def wanted(self, key: int) -> Sequence[Window]:
        """Return the ranges that backfills were asked for, oldest first."""
        ...

    def wanted_of(self, keys: Iterable[int]) -> Mapping[int, Sequence[Window]]:
        """Return those of orgs that have any, in one look."""
        ...

    def recent(self, key: int, population: Population, *, before: datetime, limit: int) -> Sequence[SliceRow]:
        """Return the slices that start before an instant, newest first."""
        ...

    def book(self, bookings: Sequence[Booking], file: UnsealedFile | None) -> None:
        """Write slices, and how far the unsealed file is booked, together."""
        ...

    def open_file(self, run_id: str, directory: str, name: str, *, place: str | None = None) -> UnsealedFile:
        """Book a file before it is created."""
        ...

    def intend_seal(self, file_id: int) -> None:
        """Book the intent before the rename."""
        ...

    def sealed(self, file_id: int) -> None:
        """Forget a file that is sealed, and that its slices are in it."""
        ...

    def lost(self, file_id: int) -> int:
        """Take back the slices that were booked in a file that is gone; return how many are asked again."""
        ...

    def left_behind(self) -> Sequence[UnsealedFile]:
        """Return the files of processes that live no more, oldest first; they may lie where only others see them."""
        ...

    def take_over(self, file_ids: Collection[int]) -> Sequence[UnsealedFile]:
        """Make files that were left behind ours; return those that no other process was quicker with."""
        ...

    def begin_run(self, run_id: str, command: str, now: datetime) -> Sequence[str]:
        """Book the run; return the ids of earlier ones that never ended and whose process is gone, now ended."""
        ...

    def end_run(self, run_id: str, exit_code: int | None, now: datetime) -> None:
        """Book the end of the run; without an exit code it was cut short, and is to be made up for."""
        ...

    def close(self) -> None:
        """Give all leases back and let go of everything."""
        ...
