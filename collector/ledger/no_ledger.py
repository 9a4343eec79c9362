"""The ledger of `state: none`: it remembers nothing, and so every run fetches all of its range.

It is also what is read where no run has created the ledger yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from tempfile import SpooledTemporaryFile

from collector.core.coverage import Coverage
from collector.core.coverage_lines import Accounts
from collector.core.delivered import DeliveredSlice, OrgRange, PastRun, Taken
from collector.core.ledger_entries import (
    CalendarChanged,
    CredentialUse,
    CutOver,
    DoubtfulSlice,
    EarlierCalendar,
    Holder,
    RemovedOrg,
    SliceCommit,
    SliceKey,
    SliceRow,
    Standing,
    UnsealedFile,
)
from collector.core.org_history import History
from collector.core.outputs import KnownOutputs, Output
from collector.core.totals import Totals
from collector.errors import LedgerError
from collector.ledger.changes import Changes
from collector.ledger.digest import Digest
from collector.ledger.history import HistoryQuery
from collector.ledger.views import AwaitedFile, Organization
from collector.model import Org, Population, Window
from collector.ports import Along

_IN_MEMORY = 8 * 2**20
_PIECE = 2**20


class NoLedger:
    """A ledger without a file, for one run of one process (`collector.ports.Ledger`)."""

    remembers = False
    across_machines = False

    def __init__(self) -> None:
        self._lines: SpooledTemporaryFile[bytes] | None = None  # what the output doesn't keep until it is sealed

    def known_outputs(self) -> KnownOutputs:
        """Return no output: nothing is remembered of what was delivered."""
        return KnownOutputs(ledger_id="")

    def deliver_to(self, output: Output) -> None:
        """Do nothing."""

    def register(
        self,
        orgs: Sequence[Org],
        *,
        wanted_from: Mapping[str, datetime],
        now: datetime,
        names: Collection[str] | None = None,
    ) -> Mapping[str, Standing | CalendarChanged]:
        """Return orgs of which nothing is known."""
        return {
            org.name: Standing(key=key, org_id=None, wanted_from=wanted_from[org.name], calendar_since=None)
            for key, org in enumerate(orgs)
        }

    def note_config(self, orgs: Sequence[Org], now: datetime) -> Sequence[RemovedOrg]:
        """Return no org: nothing is remembered of configs."""
        return ()

    def removed(self, names: Collection[str]) -> Sequence[RemovedOrg]:
        """Return no org: nothing is remembered of configs."""
        return ()

    def identified(self) -> Mapping[str, str]:
        """Return no organization."""
        return {}

    def acquire(
        self, keys: Sequence[int], calendars: Mapping[int, tuple[Org, datetime | None]] | None = None
    ) -> Mapping[int, Holder | CalendarChanged]:
        """Return nobody: no other process has a lease."""
        return {}

    def release(self, keys: Iterable[int]) -> None:
        """Do nothing: there are no leases."""

    def waited_for(self, keys: Iterable[int]) -> Collection[int]:
        """Return no org: no other process waits."""
        return ()

    def identify(
        self,
        key: int,
        *,
        name: str,
        org_id: str,
        org_name: str,
        entry: Org | None = None,
    ) -> int | Holder | CalendarChanged:
        """Return the same key: no other name of the organization is known."""
        return key

    def coverage(self, key: int, span: Window) -> Coverage:
        """Return that nothing was fetched before."""
        return {}

    def accounts(self, key: int, span: Window) -> Accounts:
        """Return that nothing was fetched before."""
        return {}

    def emitted(self, key: int, population: Population, span: Window) -> Mapping[datetime, Totals | None]:
        """Return that nothing was emitted before."""
        return {}

    def rows(self, slices: Sequence[SliceKey]) -> Mapping[SliceKey, SliceRow]:
        """Return that nothing was emitted before."""
        return {}

    def want(self, spans: Mapping[int, Sequence[Window]]) -> None:
        """Do nothing."""

    def wanted(self, key: int) -> Sequence[Window]:
        """Return no range."""
        return ()

    def wanted_of(self, keys: Iterable[int]) -> Mapping[int, Sequence[Window]]:
        """Return no range."""
        return {}

    def recent(
        self,
        key: int,
        population: Population,
        *,
        before: datetime,
        limit: int,
    ) -> Sequence[SliceRow]:
        """Return no history."""
        return ()

    def commit(
        self,
        commits: Sequence[SliceCommit],
        file: UnsealedFile | None,
        uses: Sequence[CredentialUse] = (),
        *,
        lines: bytes = b"",
    ) -> None:
        """Keep the lines until the file is sealed, and nothing else. Raises LedgerError."""
        if not lines:
            return
        try:
            self._lines = self._lines or SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - `_forget` closes it
            self._lines.write(lines)
        except OSError as error:
            raise _not_kept(error) from error

    def open_file(self, run_id: str, directory: str, name: str, *, place: str | None = None) -> UnsealedFile:
        """Return a file that nobody will recover."""
        return UnsealedFile(
            file_id=0,
            run_id=run_id,
            directory=directory,
            name=name,
            bytes=0,
            records=0,
            seal_intended=False,
            place=place,
        )

    def intend_seal(self, file_id: int) -> None:
        """Do nothing."""

    def withdraw_seal(self, file_id: int) -> None:
        """Do nothing."""

    def sealed(self, file_id: int) -> None:
        """Forget the lines."""
        self._forget()

    def kept(self, file: UnsealedFile) -> Iterator[bytes]:
        """Yield the lines that were kept."""
        if (kept := self._lines) is None:
            return
        try:
            kept.seek(0)
            while lines := b"".join(kept.readlines(_PIECE)):
                yield lines
        except OSError as error:
            raise _not_kept(error) from error

    def seal_along(self, file: UnsealedFile, along: Along) -> None:
        """Raise LedgerError: this ledger is in no database."""
        raise LedgerError("a ledger that remembers nothing is in no database")

    def lost(self, file_id: int) -> int:
        """Return that no slice has to be fetched again."""
        return 0

    def left_behind(self) -> Sequence[UnsealedFile]:
        """Return no file."""
        return ()

    def take_over(self, file_ids: Collection[int]) -> Sequence[UnsealedFile]:
        """Return no file."""
        return ()

    def unsettled(self, run_ids: Collection[str], *, interrupted: bool = False) -> Mapping[str, bool]:
        """Return no run: nothing is remembered that could be behind."""
        return {}

    def is_behind(self, slice_: DeliveredSlice) -> bool:
        """Return False: nothing is remembered that could be behind."""
        return False

    def adopt(self, slices: Sequence[DeliveredSlice], *, wanted: bool = True) -> Taken:
        """Do nothing."""
        return Taken()

    def adopt_ranges(self, given: Sequence[OrgRange]) -> Sequence[OrgRange]:
        """Do nothing."""
        return ()

    def adopt_runs(self, past: Sequence[PastRun]) -> None:
        """Do nothing."""

    def unread(self) -> Sequence[datetime]:
        """Return no run."""
        return ()

    def without_manifest(self, run_ids: Collection[str], *, manifests: Collection[str], now: datetime) -> Sequence[str]:
        """Return no run."""
        return ()

    def has_file(self, name: str) -> bool:
        """Return False."""
        return False

    def has_run(self, run_id: str) -> bool:
        """Return False."""
        return False

    def begin_run(self, run_id: str, command: str, now: datetime) -> Sequence[str]:
        """Return no interrupted run."""
        return ()

    def end_run(self, run_id: str, exit_code: int | None, now: datetime) -> None:
        """Do nothing."""

    def locate(self, orgs: Sequence[Org], *, names: Collection[str]) -> Mapping[str, Organization]:
        """Return no org."""
        return {}

    def calendar_changes(
        self, orgs: Sequence[Org], *, names: Collection[str]
    ) -> Mapping[str, CalendarChanged | CutOver]:
        """Return no calendar: none was used before."""
        return {}

    def left_out(self, key: int, org: Org, span: Window) -> CutOver | None:
        """Return nothing: no calendar came before the present one."""
        return None

    def earlier_calendars(self, key: int) -> Sequence[EarlierCalendar]:
        """Return none."""
        return ()

    def histories(self, queries: Sequence[HistoryQuery]) -> Sequence[tuple[History, Digest]]:
        """Return no history: no org has a row to ask about."""
        return ()

    def changes(self, seen: int | None) -> Changes:
        """Return that nothing changed."""
        return Changes(newest=0)

    def in_doubt(self) -> Mapping[int, frozenset[int]]:
        """Return no file."""
        return {}

    def doubtful_slices(self, file_ids: Collection[int]) -> Sequence[DoubtfulSlice]:
        """Return no slice."""
        return ()

    def awaited(self) -> Sequence[AwaitedFile]:
        """Return no file."""
        return ()

    def close(self) -> None:
        """Forget the lines."""
        self._forget()

    def _forget(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None


def _not_kept(error: OSError) -> LedgerError:
    return LedgerError(f"records can't be kept in a temporary file until they are uploaded: {error.strerror}")
