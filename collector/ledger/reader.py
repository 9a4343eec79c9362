"""What is read of a ledger. A reader writes nothing: no ledger, no lock, no row that registers the process.

So it works on a ledger that this user can't write, and leaves nothing that belongs to this user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from collector.core.coverage import Coverage
from collector.core.coverage_lines import Accounts
from collector.core.ledger_entries import (
    CalendarChanged,
    CutOver,
    DoubtfulSlice,
    EarlierCalendar,
    RemovedOrg,
    Restatement,
    SliceKey,
    SliceRow,
)
from collector.core.org_history import History
from collector.core.outputs import KnownOutputs
from collector.core.totals import Totals
from collector.ledger import changes, history, holders, outputs, ranges, registry, removed, restatements, views
from collector.ledger import slices as _slices
from collector.ledger.damage import find_damage
from collector.ledger.database import Readable
from collector.ledger.digest import Digest
from collector.ledger.info import LedgerInfo, read_info
from collector.ledger.opening import open_readable
from collector.model import Org, Population, Window


class LedgerReader:
    """The reading half of a ledger. `open_reader` opens one that only reads."""

    def __init__(self, database: Readable) -> None:
        self._database = database

    def close(self) -> None:
        """Close the ledger."""
        self._database.close()

    def info(self) -> LedgerInfo:
        """Return what the whole ledger is."""
        return self._database.read(
            lambda tx: read_info(tx, where=self._database.where, liveness=self._database.liveness)
        )

    def damage(self, *, limit: int) -> Sequence[str]:
        """Return the first things that are wrong with it. It reads all of it."""
        return self._database.read(lambda tx: find_damage(tx, limit=limit))

    def known_outputs(self) -> KnownOutputs:
        """Return the ledger's id, and where its records went, the latest first."""
        return self._database.read(outputs.known)

    def identified(self) -> Mapping[str, str]:
        """Return the organization id of each org by its current name, for all orgs that are identified."""
        return self._database.read(registry.identified)

    def coverage(self, key: int, span: Window) -> Coverage:
        """Return the state of all slices of an org that start within a span."""
        return self._database.read(lambda tx: _slices.coverage(tx, key, span))

    def accounts(self, key: int, span: Window) -> Accounts:
        """Return what is known of all slices of an org that start within a span, without their numbers."""
        return self._database.read(lambda tx: _slices.accounts(tx, key, span))

    def emitted(self, key: int, population: Population, span: Window) -> Mapping[datetime, Totals | None]:
        """Return the totals that were last emitted for the slices that start within a span; None: not all are known."""
        return self._database.read(lambda tx: _slices.emitted(tx, key, population, span))

    def rows(self, slices: Sequence[SliceKey]) -> Mapping[SliceKey, SliceRow]:
        """Return the rows of slices; slices without a row are left out."""
        return self._database.read(lambda tx: _slices.rows(tx, slices))

    def restatements(self, key: int, since: datetime) -> Sequence[Restatement]:
        """Return the restatements of an org from an instant on: by population, window and time."""
        return self._database.read(lambda tx: restatements.since(tx, key, since))

    def restatements_known_from(self) -> datetime | None:
        """Return the instant up to which restatements are not all known; None: all are."""
        return self._database.read(restatements.known_from)

    def recent(self, key: int, population: Population, *, before: datetime, limit: int) -> Sequence[SliceRow]:
        """Return the slices that start before an instant, newest first."""
        return self._database.read(lambda tx: _slices.recent(tx, key, population, before, limit))

    def wanted(self, key: int) -> Sequence[Window]:
        """Return the ranges that backfills requested, oldest first."""
        return self._database.read(lambda tx: ranges.wanted(tx, key))

    def wanted_of(self, keys: Iterable[int]) -> Mapping[int, Sequence[Window]]:
        """Return the ranges of those orgs that have any, oldest first."""
        return self._database.read(lambda tx: ranges.wanted_of(tx, keys))

    def organizations(self) -> Sequence[views.Organization]:
        """Return all orgs that the ledger knows, by name."""
        return self._database.read(views.organizations)

    def removed(self, names: Collection[str]) -> Sequence[RemovedOrg]:
        """Return the orgs that the last run of a config found gone from it; `names` are all of the config's."""
        return self._database.read(lambda tx: removed.removed(tx, names))

    def locate(self, orgs: Sequence[Org], *, names: Collection[str]) -> Mapping[str, views.Organization]:
        """Return what the ledger has of orgs, by name: what the next run will find; `names` are all of the config's.

        So `calendar_since` is where the calendar begins in a run of these orgs, though no run has committed that.
        """

        def look(tx: Connection) -> dict[str, views.Organization]:
            by_key = {row.key: row for row in views.organizations(tx)}
            return {
                name: replace(by_key[key], calendar_since=since, changed=changed)
                for name, (key, since, changed) in registry.locate(tx, orgs, names).items()
            }

        return self._database.read(look)

    def calendar_changes(
        self, orgs: Sequence[Org], *, names: Collection[str]
    ) -> Mapping[str, CalendarChanged | CutOver]:
        """Return the orgs whose calendar the next run will refuse, by name; `names` are all of the config's.

        Also those whose new calendar leaves out time that was wanted.
        """
        return self._database.read(lambda tx: registry.calendar_changes(tx, orgs, names))

    def left_out(self, key: int, org: Org, span: Window) -> CutOver | None:
        """Return what isn't complete of a span because it is older than the org's present calendar."""
        return self._database.read(lambda tx: registry.left_out(tx, key, org, span))

    def earlier_calendars(self, key: int) -> Sequence[EarlierCalendar]:
        """Return the calendars that an org had before its present one, oldest first."""
        return self._database.read(lambda tx: registry.earlier_calendars(tx, key))

    def histories(self, queries: Sequence[history.HistoryQuery]) -> Sequence[tuple[History, Digest]]:
        """Return what is known of the slices of orgs in one look, each with the digest for the next one."""
        return self._database.read(lambda tx: history.histories(tx, queries))

    def in_doubt(self) -> Mapping[int, frozenset[int]]:
        """Return the files that dead processes left and nobody has sealed yet, by the orgs with slices in them."""
        return self._database.read(lambda tx: views.in_doubt(tx, dead=self._dead(tx)))

    def doubtful_slices(self, file_ids: Collection[int]) -> Sequence[DoubtfulSlice]:
        """Return the slices whose records are in files of these that dead processes left, oldest first."""
        return self._database.read(lambda tx: views.doubtful_slices(tx, file_ids))

    def awaited(self) -> Sequence[views.AwaitedFile]:
        """Return the files that dead processes left and nobody has sealed yet, oldest first."""
        return self._database.read(lambda tx: views.awaited(tx, dead=self._dead(tx)))

    def ended_runs(self, command: str, limit: int) -> Sequence[views.EndedRun]:
        """Return the runs of a command that have ended, newest first."""
        return self._database.read(lambda tx: views.ended_runs(tx, command, limit))

    def ended_beside(self, command: str, limit: int) -> Sequence[views.EndedRun]:
        """Return the runs of other commands that have ended, newest first; runs of other shards are left out."""
        return self._database.read(lambda tx: views.ended_beside(tx, command, limit))

    def changes(self, seen: int | None) -> changes.Changes:
        """Return the orgs that changed since the look that gave a number, and the number for the next look."""
        return self._database.read(lambda tx: changes.since(tx, seen))

    def _dead(self, tx: Connection) -> Collection[str]:
        """Return the dead processes whose rows nobody has deleted yet."""
        return holders.dead(tx, self._database.liveness)


def open_reader(url: str, *, password_file: Path | None = None, older: bool = False) -> LedgerReader | None:
    """Return a reader of the ledger of a URL; None if there is no ledger. Migrates nothing.

    With `older` it may have an older version: then only `info` and `damage` can be read.
    Raises LedgerError that says what to do.
    """
    database = open_readable(url, password_file=password_file, older=older)
    return None if database is None else LedgerReader(database)
