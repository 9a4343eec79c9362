"""The port to the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from collector.core.coverage import Coverage
from collector.core.coverage_lines import Accounts
from collector.core.delivered import DeliveredSlice, OrgRange, PastRun, Taken
from collector.core.ledger_entries import (
    CalendarChanged,
    CredentialUse,
    CutOver,
    DoubtfulSlice,
    Holder,
    RemovedOrg,
    SliceCommit,
    SliceKey,
    SliceRow,
    Standing,
    UnsealedFile,
)
from collector.core.outputs import KnownOutputs, Output
from collector.core.totals import Totals
from collector.model import Org, Population, Window
from collector.ports.output import Along


class Ledger(Protocol):
    """The durable memory.

    Called on the writer's thread only, in the writer's order, so that sink and ledger have one owner.
    Every method is one transaction and raises LedgerError if it can't be written or read.
    """

    @property
    def remembers(self) -> bool:
        """Whether what is committed outlives the run: then the next one recovers an unsealed file."""
        ...

    @property
    def across_machines(self) -> bool:
        """Whether processes on other machines share it: then a path doesn't identify a file."""
        ...

    def known_outputs(self) -> KnownOutputs:
        """Return the ledger's id, and where its records went, the latest first."""
        ...

    def deliver_to(self, output: Output) -> None:
        """Note that records are delivered there from now on."""
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
        end of what is covered is returned as such, with what the row holds: nothing is written of that org.
        """
        ...

    def note_config(self, orgs: Sequence[Org], now: datetime) -> Sequence[RemovedOrg]:
        """Note which orgs a config has, all of it; return those that it no longer has, and nobody has forgotten."""
        ...

    def identified(self) -> Mapping[str, str]:
        """Return which organization is behind each name, for all orgs that were identified."""
        ...

    def acquire(
        self, keys: Sequence[int], calendars: Mapping[int, tuple[Org, datetime | None]] | None = None
    ) -> Mapping[int, Holder | CalendarChanged]:
        """Acquire the leases of orgs; wait for those that another living process has, and return its holder.

        `calendars` are the orgs as they are fetched, and the instant from which on each calendar was planned. One
        whose windows would overlap with windows that another process has covered since then is returned, too.
        """
        ...

    def release(self, keys: Iterable[int]) -> None:
        """Release leases, and wait no longer for those of other processes."""
        ...

    def left_out(self, key: int, org: Org, span: Window) -> CutOver | None:
        """Return what isn't complete of a span because it is older than the org's present calendar."""
        ...

    def waited_for(self, keys: Iterable[int]) -> Collection[int]:
        """Return the orgs that another process waits for."""
        ...

    def identify(
        self, key: int, *, name: str, org_id: str, org_name: str, entry: Org | None = None
    ) -> int | Holder | CalendarChanged:
        """Bind an org to the organization that answered; return the key of its row, whose lease this process now has.

        That is another row if the organization is known by another name (a renamed org). If another process has
        that row's lease, its holder is returned and nothing has changed; likewise if it was collected
        by another calendar than the `entry` of the config has.
        """
        ...

    def coverage(self, key: int, span: Window) -> Coverage:
        """Return what is known of all slices of an org that start within a span."""
        ...

    def accounts(self, key: int, span: Window) -> Accounts:
        """Return what is known of all slices of an org that start within a span, without their numbers."""
        ...

    def emitted(self, key: int, population: Population, span: Window) -> Mapping[datetime, Totals | None]:
        """Return the totals that were last emitted for the slices that start within a span, by their starts.

        None: not all of a slice's numbers are known. Slices without an emission are left out.
        """
        ...

    def rows(self, slices: Sequence[SliceKey]) -> Mapping[SliceKey, SliceRow]:
        """Return what the ledger holds of slices; those that were never requested are left out."""
        ...

    def want(self, spans: Mapping[int, Sequence[Window]]) -> None:
        """Note that ranges of orgs are wanted, by key."""
        ...

    def wanted(self, key: int) -> Sequence[Window]:
        """Return the ranges that are wanted, oldest first."""
        ...

    def wanted_of(self, keys: Iterable[int]) -> Mapping[int, Sequence[Window]]:
        """Return those of orgs that have any, in one look."""
        ...

    def recent(self, key: int, population: Population, *, before: datetime, limit: int) -> Sequence[SliceRow]:
        """Return the slices that start before an instant, newest first."""
        ...

    def commit(
        self,
        commits: Sequence[SliceCommit],
        file: UnsealedFile | None,
        uses: Sequence[CredentialUse] = (),
        *,
        lines: bytes = b"",
    ) -> None:
        """Write slices, how far the unsealed file is committed, and what came of credentials, together.

        `lines` are the last ones of the file, if its place keeps none of them until it is sealed: the ledger does.

        An org that is among the `uses` both as answered and as refused was refused after the answer.
        """
        ...

    def open_file(self, run_id: str, directory: str, name: str, *, place: str | None = None) -> UnsealedFile:
        """Commit the name of a file before it is created."""
        ...

    def intend_seal(self, file_id: int) -> None:
        """Commit the intent before the rename."""
        ...

    def withdraw_seal(self, file_id: int) -> None:
        """Take the intent back: the file was not renamed."""
        ...

    def sealed(self, file_id: int) -> None:
        """Forget a file that is sealed: its slices are safe."""
        ...

    def kept(self, file: UnsealedFile) -> Iterator[bytes]:
        """Yield the lines of an unsealed file that were committed with slices, a chunk at a time."""
        ...

    def seal_along(self, file: UnsealedFile, along: Along) -> None:
        """Do what delivers the kept lines within the ledger's database, and forget the file: both or nothing."""
        ...

    def lost(self, file_id: int) -> int:
        """Forget the slices that were committed into a file that is gone; return how many are to be fetched again."""
        ...

    def left_behind(self) -> Sequence[UnsealedFile]:
        """Return the files of dead processes, oldest first; other machines may be the only ones that see them."""
        ...

    def doubtful_slices(self, file_ids: Collection[int]) -> Sequence[DoubtfulSlice]:
        """Return the slices whose records are in files of these that are still left behind, oldest first."""
        ...

    def take_over(self, file_ids: Collection[int]) -> Sequence[UnsealedFile]:
        """Take over files that were left behind; return those that no other process took over first."""
        ...

    def unsettled(self, run_ids: Collection[str], *, interrupted: bool = False) -> Mapping[str, bool]:
        """Return the runs whose end isn't known, except those of living processes; and whether they are known to begin.

        Those that are not known at all ended after the backup that this ledger was restored from. With `interrupted`,
        the end isn't known either of those that a later run ended.
        """
        ...

    def is_behind(self, slice_: DeliveredSlice) -> bool:
        """Return whether a slice's last emission that the ledger knows isn't the one in a sealed file."""
        ...

    def adopt(self, slices: Sequence[DeliveredSlice], *, wanted: bool = True) -> Taken:
        """Take over what sealed files have of slices, where that is newer; return what was.

        Slices that are new are not complete. With `wanted`, the windows of all of them are wanted.
        """
        ...

    def adopt_ranges(self, given: Sequence[OrgRange]) -> Sequence[OrgRange]:
        """Note that ranges are wanted; return those of orgs whose names the ledger doesn't know."""
        ...

    def adopt_runs(self, past: Sequence[PastRun]) -> None:
        """Commit the ends of runs that are not known, or whose end isn't."""
        ...

    def unread(self) -> Sequence[datetime]:
        """Return the ends of the adopted runs whose files could not be read."""
        ...

    def without_manifest(self, run_ids: Collection[str], *, manifests: Collection[str], now: datetime) -> Sequence[str]:
        """Return those of the ended runs that no manifest of these runs may name."""
        ...

    def has_file(self, name: str) -> bool:
        """Return whether there is an unsealed file of that name."""
        ...

    def has_run(self, run_id: str) -> bool:
        """Return whether a run is known."""
        ...

    def begin_run(self, run_id: str, command: str, now: datetime) -> Sequence[str]:
        """Commit the start of a run; return the ids of earlier runs whose process died, and which are ended now."""
        ...

    def end_run(self, run_id: str, exit_code: int | None, now: datetime) -> None:
        """Commit the end of a run; without an exit code it was cut short, and the next run makes up for it."""
        ...

    def close(self) -> None:
        """Release all leases and close everything."""
        ...
