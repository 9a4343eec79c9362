"""The ledger as one object: each method is one transaction, spelled out in the room of its concept.

For one thread at a time. Whatever the database or the disk does comes out as a LedgerError that
says what to do.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from collector.core.coverage import Coverage
from collector.core.ledger_entries import (
    CalendarChanged,
    Holder,
    SliceCommit,
    SliceKey,
    SliceRow,
    Standing,
    UnsealedFile,
)
from collector.core.org_history import History
from collector.errors import LedgerError
from collector.ledger import history, holders, identity, leases, ranges, registry, runs, unsealed, views
from collector.ledger import slices as _slices
from collector.ledger.database import PATIENCE_S, Database
from collector.ledger.digest import Digest
from collector.ledger.opening import open_database
from collector.model import Org, Population, ProductUsage, Window


class SqlLedger:
    """The durable memory in a SQL database (`collector.core.ledger_entries.Ledger`). Create it with `open`."""

    def __init__(self, database: Database, me: Holder) -> None:
        self._database = database
        self._me = me
        self._liveness = database.liveness
        self._open = True

    @classmethod
    def open(
        cls,
        url: str,
        *,
        command: str,
        now: Callable[[], datetime],
        durable: bool = True,
        holder_id: str | None = None,
        patience_s: float = PATIENCE_S,
        password_file: Path | None = None,
    ) -> SqlLedger:
        """Open the ledger of a URL, and count as one of those who work on it.

        A ledger that doesn't exist is created; an older one is migrated. Without `durable` a loss of power
        may lose what is committed. For `patience_s` a transaction waits for those of other processes, and for
        a server that went away; `password_file` is read whenever a server is connected to.
        Raises LedgerError for one that is newer than we are, damaged, or can't be written.
        """
        me = Holder(
            holder_id=holder_id or secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            command=command,
            since=now(),
        )
        database = open_database(url, durable=durable, patience_s=patience_s, password_file=password_file)
        try:
            database.write(lambda tx: holders.register(tx, me, database.liveness))
        except BaseException:
            database.liveness.end()
            database.close()
            raise
        return cls(database, me)

    @property
    def holder(self) -> Holder:
        """Who we are to other processes."""
        return self._me

    @property
    def across_machines(self) -> bool:
        """Whether those who share it may each see other files: then a file's path doesn't tell where it lies."""
        return self._database.across_machines

    def register(
        self,
        orgs: Sequence[Org],
        *,
        wanted_from: Mapping[str, datetime],
        now: datetime,  # noqa: ARG002 - of the Protocol; no row has need of it
        names: Collection[str] | None = None,
    ) -> Mapping[str, Standing | CalendarChanged]:
        """Find or make the row of each org; `names` are all of the config's, if only some orgs are given."""
        known = {org.name for org in orgs} | set(names or ())
        return self._database.write(lambda tx: registry.register(tx, orgs, wanted_from=wanted_from, names=known))

    def identified(self) -> Mapping[str, str]:
        """Return which organization is behind each name, for all orgs whose answer told it."""
        return self._database.read(registry.identified)

    def acquire(self, keys: Sequence[int]) -> Mapping[int, Holder]:
        """Take the leases of orgs; return those that another, living process holds."""
        return self._database.write(lambda tx: leases.acquire(tx, keys, self._me, self._liveness))

    def release(self, keys: Iterable[int]) -> None:
        """Give leases back."""
        self._database.write(lambda tx: leases.release(tx, keys, self._me))

    def identify(
        self, key: int, *, name: str, org_id: str, org_name: str, entry: Org | None = None
    ) -> int | Holder | CalendarChanged:
        """Bind an org to the organization that answered. Raises ValueError if the row is bound to another one."""
        return self._database.write(
            lambda tx: identity.identify(
                tx,
                key,
                name=name,
                org_id=org_id,
                org_name=org_name,
                me=self._me,
                liveness=self._liveness,
                entry=entry,
            )
        )

    def coverage(self, key: int, span: Window) -> Coverage:
        """Return what is known of all slices of an org that start within a span."""
        return self._database.read(lambda tx: _slices.coverage(tx, key, span))

    def rows(self, slices: Sequence[SliceKey]) -> Mapping[SliceKey, SliceRow]:
        """Return what is held of slices."""
        return self._database.read(lambda tx: _slices.rows(tx, slices))

    def recent(self, key: int, population: Population, *, before: datetime, limit: int) -> Sequence[SliceRow]:
        """Return the slices that start before an instant, newest first."""
        return self._database.read(lambda tx: _slices.recent(tx, key, population, before, limit))

    def want(self, key: int, span: Window) -> None:
        """Remember a range that a backfill was asked for."""
        self._database.write(lambda tx: ranges.want(tx, key, span))

    def wanted(self, key: int) -> Sequence[Window]:
        """Return the ranges that backfills were asked for, oldest first."""
        return self._database.read(lambda tx: ranges.wanted(tx, key))

    def wanted_of(self, keys: Iterable[int]) -> Mapping[int, Sequence[Window]]:
        """Return the ranges of orgs that have any, oldest first, in one look."""
        return self._database.read(lambda tx: ranges.wanted_of(tx, keys))

    def commit(self, commits: Sequence[SliceCommit], file: UnsealedFile | None) -> None:
        """Write slices, and how far the unsealed file is booked, together."""

        def work(tx: Connection) -> None:
            holders.expect_alive(tx, self._me)
            if file is not None:
                unsealed.commit(tx, file, self._me)
            _slices.commit(tx, commits, file_id=None if file is None else file.file_id)

        self._database.write(work)

    def open_file(self, run_id: str, directory: str, name: str, *, place: str | None = None) -> UnsealedFile:
        """Book a file before it is created."""
        return self._database.write(
            lambda tx: unsealed.open_file(tx, run_id, directory, name, place=place, me=self._me)
        )

    def intend_seal(self, file_id: int) -> None:
        """Book the intent before the rename."""
        self._database.write(lambda tx: unsealed.intend_seal(tx, file_id, self._me))

    def sealed(self, file_id: int) -> None:
        """Forget a file that is sealed, and that its slices are in it."""
        self._database.write(lambda tx: unsealed.sealed(tx, file_id))

    def lost(self, file_id: int) -> int:
        """Take back the slices whose last emission is in a file that is gone; return how many."""
        return self._database.write(lambda tx: unsealed.lost(tx, file_id))

    def left_behind(self) -> Sequence[UnsealedFile]:
        """Return the files of processes that live no more, oldest first.

        Also those of runs of our own that have ended: a service goes on after a run whose disk was full.
        """
        return self._database.write(lambda tx: unsealed.left_behind(tx, self._me, self._liveness))

    def take_over(self, file_ids: Collection[int]) -> Sequence[UnsealedFile]:
        """Make files that were left behind ours; return those that no other process was quicker with."""
        return self._database.write(lambda tx: unsealed.take_over(tx, file_ids, self._me))

    def begin_run(self, run_id: str, command: str, now: datetime) -> Sequence[str]:
        """Book the run; return the ids of earlier ones whose process is gone, now ended."""
        return self._database.write(
            lambda tx: runs.begin_run(tx, run_id, command, now, me=self._me, liveness=self._liveness)
        )

    def end_run(self, run_id: str, exit_code: int | None, now: datetime) -> None:
        """Book the end of the run; without an exit code it was cut short."""
        self._database.write(lambda tx: runs.end_run(tx, run_id, exit_code, now))

    def organizations(self) -> Sequence[views.Organization]:
        """Return all orgs that the ledger knows, by name."""
        return self._database.read(views.organizations)

    def locate(self, orgs: Sequence[Org], *, names: Collection[str]) -> Mapping[str, views.Organization]:
        """Return what the ledger has of orgs, by name: what the next run will find; `names` are all of the config's."""

        def look(tx: Connection) -> dict[str, views.Organization]:
            by_key = {row.key: row for row in views.organizations(tx)}
            return {name: by_key[key] for name, key in registry.locate(tx, orgs, names).items()}

        return self._database.read(look)

    def overlaps(self, orgs: Sequence[Org], *, names: Collection[str]) -> Mapping[str, CalendarChanged]:
        """Return the orgs whose calendar the next run will refuse, by name; `names` are all of the config's."""
        return self._database.read(lambda tx: registry.overlaps(tx, orgs, names))

    def histories(self, queries: Sequence[history.HistoryQuery]) -> Sequence[tuple[History, Digest]]:
        """Return what is known of the slices of orgs in one look, each with the digest for the next one."""
        return self._database.read(lambda tx: history.histories(tx, queries))

    def in_doubt(self) -> Mapping[int, frozenset[int]]:
        """Return the files that dead processes left and nobody has sealed yet, by the orgs with slices in them."""
        return self._database.read(views.in_doubt)

    def shrunk(self, key: int) -> Mapping[tuple[Population, Window], Mapping[str, ProductUsage]]:
        """Return the smaller answers of an org that were kept beside what was emitted, by product."""
        return self._database.read(lambda tx: views.shrunk(tx, key))

    def awaited(self) -> Sequence[views.AwaitedFile]:
        """Return the files that dead processes left and nobody has sealed yet, oldest first."""
        return self._database.read(views.awaited)

    def open_runs(self) -> Sequence[views.OpenRun]:
        """Return the runs that have not ended, oldest first."""
        return self._database.read(views.open_runs)

    def ended_runs(self, command: str, limit: int) -> Sequence[views.EndedRun]:
        """Return the runs of a command that have ended, newest first."""
        return self._database.read(lambda tx: views.ended_runs(tx, command, limit))

    def close(self) -> None:
        """Give all leases back and let go of everything; a ledger that can't be written any more doesn't hinder."""
        if not self._open:
            return
        self._open = False
        try:
            self._database.write(lambda tx: holders.unregister(tx, self._me), patient=False)
        except LedgerError:
            pass  # without its lock, our row counts as that of a dead one
        finally:
            self._liveness.end()
            self._database.close()

    def abandon(self) -> None:
        """Let go as a `kill -9` would: nothing is given back. For simulations."""
        self._open = False
        self._liveness.drop()
        self._database.close()
