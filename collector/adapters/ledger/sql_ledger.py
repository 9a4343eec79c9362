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

from collector.adapters.ledger import holders, identity, leases, ranges, registry, runs, unsealed, views
from collector.adapters.ledger import slices as _slices
from collector.adapters.ledger.engine import PATIENCE_S, Database
from collector.adapters.ledger.place import Place
from collector.core.coverage import Coverage
from collector.errors import LedgerError
from collector.model import Org, Population, ProductUsage, Window
from collector.ports.ledger import Booking, CalendarChanged, Holder, SliceKey, SliceRow, Standing, UnsealedFile


class SqlLedger:
    """The durable memory in a SQL database (`collector.ports.ledger.Ledger`). Create it with `open`."""

    def __init__(self, database: Database, me: Holder, liveness: holders.FileLocks) -> None:
        self._database = database
        self._me = me
        self._liveness = liveness
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
    ) -> SqlLedger:
        """Open the ledger of a URL, and count as one of those who work on it.

        A ledger that doesn't exist is created; an older one is migrated. Without `durable` a loss of power
        may lose what is committed. For `patience_s` a transaction waits for those of other processes.
        Raises LedgerError for one that is newer than we are, damaged, or can't be written.
        """
        place = Place.of(url)
        me = Holder(
            holder_id=holder_id or secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            command=command,
            since=now(),
        )
        database = Database.open(place, durable=durable, patience_s=patience_s)
        liveness = holders.FileLocks(place.holders)
        try:
            with database.write() as tx:
                liveness.begin(me.holder_id)
                holders.register(tx, me, liveness)
        except BaseException:
            liveness.end()
            database.close()
            raise
        return cls(database, me, liveness)

    @property
    def holder(self) -> Holder:
        """Who we are to other processes."""
        return self._me

    def register(
        self,
        orgs: Sequence[Org],
        *,
        wanted_from: Mapping[str, datetime],
        now: datetime,  # noqa: ARG002 - of the Protocol; no row has need of it
        names: Collection[str] | None = None,
    ) -> Mapping[str, Standing | CalendarChanged]:
        """Find or make the row of each org; `names` are all of the config's, if only some orgs are given."""
        with self._database.write() as tx:
            known = {org.name for org in orgs} | set(names or ())
            return registry.register(tx, orgs, wanted_from=wanted_from, names=known)

    def claim(self, keys: Sequence[int]) -> Mapping[int, Holder]:
        """Take the leases of orgs; return those that another, living process holds."""
        with self._database.write() as tx:
            return leases.claim(tx, keys, self._me, self._liveness)

    def release(self, keys: Iterable[int]) -> None:
        """Give leases back."""
        with self._database.write() as tx:
            leases.release(tx, keys, self._me)

    def identify(self, key: int, *, name: str, org_id: str, org_name: str) -> int | Holder:
        """Bind an org to the organization that answered.

        If another key comes back, its row may have another calendar: `register` tells. Raises ValueError
        if the row is already bound to another organization.
        """
        with self._database.write() as tx:
            return identity.identify(
                tx, key, name=name, org_id=org_id, org_name=org_name, me=self._me, liveness=self._liveness
            )

    def coverage(self, key: int, span: Window) -> Coverage:
        """Return what is known of all slices of an org that start within a span."""
        with self._database.read() as tx:
            return _slices.coverage(tx, key, span)

    def rows(self, slices: Sequence[SliceKey]) -> Mapping[SliceKey, SliceRow]:
        """Return what is held of slices."""
        with self._database.read() as tx:
            return _slices.rows(tx, slices)

    def recent(self, key: int, population: Population, *, before: datetime, limit: int) -> Sequence[SliceRow]:
        """Return the slices that start before an instant, newest first."""
        with self._database.read() as tx:
            return _slices.recent(tx, key, population, before, limit)

    def want(self, key: int, span: Window) -> None:
        """Remember a range that a backfill was asked for."""
        with self._database.write() as tx:
            ranges.want(tx, key, span)

    def wanted(self, key: int) -> Sequence[Window]:
        """Return the ranges that backfills were asked for, oldest first."""
        with self._database.read() as tx:
            return ranges.wanted(tx, key)

    def book(self, bookings: Sequence[Booking], file: UnsealedFile | None) -> None:
        """Write slices, and how far the unsealed file is booked, together."""
        with self._database.write() as tx:
            holders.expect_alive(tx, self._me)
            if file is not None:
                unsealed.book(tx, file, self._me)
            _slices.book(tx, bookings, file_id=None if file is None else file.file_id)

    def open_file(self, run_id: str, directory: str, name: str) -> UnsealedFile:
        """Book a file before it is created."""
        with self._database.write() as tx:
            return unsealed.open_file(tx, run_id, directory, name, self._me)

    def intend_seal(self, file_id: int) -> None:
        """Book the intent before the rename."""
        with self._database.write() as tx:
            unsealed.intend_seal(tx, file_id, self._me)

    def sealed(self, file_id: int) -> None:
        """Forget a file that is sealed, and that its slices are in it."""
        with self._database.write() as tx:
            unsealed.sealed(tx, file_id)

    def lost(self, file_id: int) -> int:
        """Take back the slices whose last emission is in a file that is gone; return how many."""
        with self._database.write() as tx:
            return unsealed.lost(tx, file_id)

    def left_behind(self) -> Sequence[UnsealedFile]:
        """Return the files of processes that live no more, oldest first, and take them over.

        Also those of runs of our own that have ended: a service goes on after a run whose disk was full.
        """
        with self._database.write() as tx:
            return unsealed.left_behind(tx, self._me, self._liveness)

    def begin_run(self, run_id: str, command: str, now: datetime) -> Sequence[str]:
        """Book the run; return the ids of earlier ones whose process is gone, now ended."""
        with self._database.write() as tx:
            return runs.begin_run(tx, run_id, command, now, me=self._me, liveness=self._liveness)

    def end_run(self, run_id: str, exit_code: int, now: datetime) -> None:
        """Book the end of the run."""
        with self._database.write() as tx:
            runs.end_run(tx, run_id, exit_code, now)

    def organizations(self) -> Sequence[views.Organization]:
        """Return all orgs that the ledger knows, by name."""
        with self._database.read() as tx:
            return views.organizations(tx)

    def stretches(self, key: int) -> Sequence[views.Stretch]:
        """Return an org's slices, merged where they follow each other in one state, oldest first."""
        with self._database.read() as tx:
            return list(views.stretches(tx, key))

    def oldest_usage(self, key: int, population: Population) -> Window | None:
        """Return the oldest window of an org that anything was counted in."""
        with self._database.read() as tx:
            return views.oldest_usage(tx, key, population)

    def shrunk(self, key: int) -> Mapping[tuple[Population, Window], Mapping[str, ProductUsage]]:
        """Return the smaller answers of an org that were kept beside what was emitted, by product."""
        with self._database.read() as tx:
            return views.shrunk(tx, key)

    def open_runs(self) -> Sequence[views.OpenRun]:
        """Return the runs that have not ended, oldest first."""
        with self._database.read() as tx:
            return views.open_runs(tx)

    def ended_runs(self, limit: int) -> Sequence[views.EndedRun]:
        """Return the runs that have ended, newest first."""
        with self._database.read() as tx:
            return views.ended_runs(tx, limit)

    def close(self) -> None:
        """Give all leases back and let go of everything; a ledger that can't be written any more doesn't hinder."""
        if not self._open:
            return
        self._open = False
        try:
            with self._database.write() as tx:
                holders.unregister(tx, self._me)
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
