"""The ledger as one object. Each method is one transaction, written in the module of its concept.

For one thread at a time. Every failure of the database or the disk is raised as a LedgerError that says
what to do.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from collector.core.coverage import Ages
from collector.core.delivered import DeliveredSlice, OrgRange, PastRun, Taken
from collector.core.ledger_entries import (
    CalendarChanged,
    CredentialUse,
    Holder,
    RemovedOrg,
    SliceCommit,
    Standing,
    UnsealedFile,
)
from collector.core.outputs import Output
from collector.errors import LedgerError
from collector.ledger import (
    adoption,
    carried,
    changes,
    holders,
    identity,
    leases,
    outbox,
    outputs,
    ranges,
    refusals,
    registry,
    removed,
    restatements,
    runs,
    unsealed,
    views,
)
from collector.ledger import slices as _slices
from collector.ledger.calendars import Calendars
from collector.ledger.database import PATIENCE_S, Database
from collector.ledger.opening import open_database
from collector.ledger.reader import LedgerReader
from collector.ledger.versions import Migration
from collector.model import Org, Window
from collector.ports import Along


class SqlLedger(LedgerReader):
    """The ledger in a SQL database (`collector.ports.Ledger`). Create it with `open`."""

    def __init__(self, database: Database, me: Holder) -> None:
        super().__init__(database)
        self._database: Database = database
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
        create: bool = True,
    ) -> SqlLedger:
        """Open the ledger of a URL, and register this process as one that works on it.

        A missing ledger is created, unless `create` is false; an older one is migrated. Without `durable` a power cut
        may lose committed data. A transaction waits up to `patience_s` for other processes and for an unreachable
        server. `password_file` is read at every connection to a server.
        Raises LedgerError if the ledger has a newer version, is damaged, missing, or can't be written.
        """
        me = Holder(
            holder_id=holder_id or secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            command=command,
            since=now(),
        )
        database = open_database(
            url, durable=durable, patience_s=patience_s, password_file=password_file, create=create
        )
        try:
            database.write(lambda tx: holders.register(tx, me, database.liveness))
        except BaseException:
            database.liveness.end()
            database.close()
            raise
        return cls(database, me)

    @property
    def migrated(self) -> Migration | None:
        """That the ledger was migrated when this process opened it."""
        return self._database.migrated

    @property
    def holder(self) -> Holder:
        """The row of this process, as other processes see it."""
        return self._me

    remembers = True

    @property
    def across_machines(self) -> bool:
        """Whether processes that share it may see different file systems: then a path doesn't identify a directory."""
        return self._database.across_machines

    def deliver_to(self, output: Output) -> None:
        """Note that records are delivered there from now on."""
        self._database.write(lambda tx: outputs.deliver_to(tx, output))

    def register(
        self,
        orgs: Sequence[Org],
        *,
        wanted_from: Mapping[str, datetime],
        now: datetime,  # noqa: ARG002 - part of the Protocol; not stored
        names: Collection[str] | None = None,
    ) -> Mapping[str, Standing | CalendarChanged]:
        """Find or create the row of each org; `names` are those of the whole config, if only some orgs are given."""
        return self._database.write(
            lambda tx: registry.register(tx, orgs, wanted_from=wanted_from, names=names, me=self._me)
        )

    def note_config(self, orgs: Sequence[Org], now: datetime) -> Sequence[RemovedOrg]:
        """Note which orgs a config has, all of it; return those that it no longer has."""
        return self._database.write(lambda tx: removed.note(tx, orgs, now))

    def forget(self, orgs: Collection[RemovedOrg], now: datetime) -> None:
        """Note that orgs are meant to be removed. All that is known of them stays."""
        self._database.write(lambda tx: removed.forget(tx, [one.key for one in orgs], now))

    def acquire(
        self, keys: Sequence[int], calendars: Mapping[int, tuple[Org, datetime | None]] | None = None
    ) -> Mapping[int, Holder | CalendarChanged]:
        """Lease the orgs that are free and have no windows that would overlap; return why the others are not leased.

        For those that another process has, this process is registered as one that waits.
        """

        def work(tx: Connection) -> dict[int, Holder | CalendarChanged]:
            busy = leases.acquire(tx, keys, self._me, self._liveness)
            ours = {key: one for key, one in (calendars or {}).items() if key not in busy}
            if not ours:
                return {**busy}
            confirmed = Calendars(tx, ours.keys())
            changed = confirmed.confirm(ours)
            confirmed.write(self._me)
            leases.release(tx, changed, self._me)
            return {**busy, **changed}

        return self._database.write(work)

    def release(self, keys: Iterable[int]) -> None:
        """Release leases, and wait no longer for those of other processes."""
        self._database.write(lambda tx: leases.release(tx, keys, self._me))

    def waited_for(self, keys: Iterable[int]) -> Collection[int]:
        """Return the orgs that another process waits for."""
        return self._database.read(lambda tx: leases.waited_for(tx, keys, self._me))

    def identify(
        self, key: int, *, name: str, org_id: str, org_name: str, entry: Org | None = None
    ) -> int | Holder | CalendarChanged:
        """Set the identity of an org. Raises ValueError if its row belongs to another organization."""
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

    def want(self, spans: Mapping[int, Sequence[Window]]) -> None:
        """Add the ranges that a backfill requested of orgs, by key."""
        self._database.write(lambda tx: ranges.want(tx, spans))

    def commit(
        self,
        commits: Sequence[SliceCommit],
        file: UnsealedFile | None,
        uses: Sequence[CredentialUse] = (),
        *,
        lines: bytes = b"",
    ) -> None:
        """Write slices, how far the unsealed file is committed, its last lines, and what came of credentials."""

        def work(tx: Connection) -> None:
            holders.require_registered(tx, self._me)
            if file is not None:
                unsealed.commit(tx, file, self._me)
            if file is not None and lines:
                outbox.add(tx, file, lines)
            file_id = None if file is None else file.file_id
            _slices.commit(tx, commits, file_id=file_id)
            restatements.note(tx, commits, file_id=file_id)
            refusals.note(tx, uses)
            changes.note(tx, (one.slice.key for one in commits))
            changes.note_names(tx, (use.org.name for use in uses))

        self._database.write(work)

    def open_file(self, run_id: str, directory: str, name: str, *, place: str | None = None) -> UnsealedFile:
        """Commit a file before it is created."""
        return self._database.write(
            lambda tx: unsealed.open_file(tx, run_id, directory, name, place=place, me=self._me)
        )

    def intend_seal(self, file_id: int) -> None:
        """Commit the intent to seal a file, before the rename."""
        self._database.write(lambda tx: unsealed.intend_seal(tx, file_id, self._me))

    def withdraw_seal(self, file_id: int) -> None:
        """Take the intent back: the file was not renamed."""
        self._database.write(lambda tx: unsealed.withdraw_seal(tx, file_id, self._me))

    def sealed(self, file_id: int) -> None:
        """Delete the row of a sealed file. Its slices no longer refer to it."""
        self._database.write(lambda tx: unsealed.sealed(tx, file_id))

    def seal_along(self, file: UnsealedFile, along: Along) -> None:
        """Do what delivers a file's records in the same database, and delete its row: both or nothing."""

        def work(tx: Connection) -> None:
            unsealed.require_ours(tx, file.file_id, self._me)
            along(tx.connection.driver_connection, outbox.all_lines(file, partial(outbox.lines_at, tx, file.file_id)))
            unsealed.sealed(tx, file.file_id)

        self._database.write(work)

    def kept(self, file: UnsealedFile) -> Iterator[bytes]:
        """Yield the lines of an unsealed file that were committed with its slices."""
        return outbox.all_lines(
            file, lambda start: self._database.read(lambda tx: outbox.lines_at(tx, file.file_id, start))
        )

    def lost(self, file_id: int) -> int:
        """Reset the slices whose last emission is in a lost file; return how many."""
        return self._database.write(lambda tx: unsealed.lost(tx, file_id))

    def left_behind(self) -> Sequence[UnsealedFile]:
        """Return the files of dead processes, oldest first.

        Includes files of our own ended runs: a service continues after a run that failed on a full disk.
        """
        return self._database.write(lambda tx: unsealed.left_behind(tx, self._me, self._liveness))

    def take_over(self, file_ids: Collection[int]) -> Sequence[UnsealedFile]:
        """Make left-behind files ours; return those that no other process took over first."""
        return self._database.write(lambda tx: unsealed.take_over(tx, file_ids, self._me))

    def unsettled(self, run_ids: Collection[str], *, interrupted: bool = False) -> Mapping[str, bool]:
        """Return the runs whose end isn't known, and whether they are known to have begun."""
        return self._database.write(
            lambda tx: adoption.unsettled(tx, run_ids, interrupted=interrupted, me=self._me, liveness=self._liveness)
        )

    def is_behind(self, slice_: DeliveredSlice) -> bool:
        """Return whether a slice's last emission that the ledger knows isn't the one in a sealed file."""
        return self._database.read(lambda tx: adoption.is_behind(tx, slice_))

    def adopt(self, slices: Sequence[DeliveredSlice], *, wanted: bool = True) -> Taken:
        """Take over what sealed files have of slices, where that is newer. With `wanted`, their windows are."""
        return self._database.write(lambda tx: adoption.adopt(tx, slices, wanted=wanted)) if slices else Taken()

    def adopt_ranges(self, given: Sequence[OrgRange]) -> Sequence[OrgRange]:
        """Note that ranges are wanted; return those of orgs whose names the ledger doesn't know."""
        return self._database.write(lambda tx: adoption.adopt_ranges(tx, given)) if given else ()

    def adopt_runs(self, past: Sequence[PastRun]) -> None:
        """Commit the ends of runs that are not known, or whose end isn't."""
        if past:
            self._database.write(lambda tx: adoption.adopt_runs(tx, past))

    def unread(self) -> Sequence[datetime]:
        """Return the ends of the adopted runs whose files could not be read."""
        return self._database.read(adoption.unread)

    def without_manifest(self, run_ids: Collection[str], *, manifests: Collection[str], now: datetime) -> Sequence[str]:
        """Return those of the ended runs that no manifest of these runs may name."""
        return self._database.read(lambda tx: runs.without_manifest(tx, run_ids, manifests=manifests, now=now))

    def begin_run(self, run_id: str, command: str, now: datetime) -> Sequence[str]:
        """Commit the start of a run. End earlier runs of dead processes, and return their ids."""
        return self._database.write(
            lambda tx: runs.begin_run(tx, run_id, command, now, me=self._me, liveness=self._liveness)
        )

    def end_run(self, run_id: str, exit_code: int | None, now: datetime) -> None:
        """Commit the end of a run; without an exit code it was interrupted."""
        self._database.write(lambda tx: runs.end_run(tx, run_id, exit_code, now))

    def has_file(self, name: str) -> bool:
        """Return whether the ledger has an unsealed file of that name."""
        return self._database.read(lambda tx: views.has_file(tx, name))

    def has_run(self, run_id: str) -> bool:
        """Return whether the ledger knows a run."""
        return self._database.read(lambda tx: views.has_run(tx, run_id))

    def carry(self, ages: Ages, *, now: datetime, ended: bool) -> Mapping[str, Any]:
        """Return what it knows, as a value of which `carried.restore` makes a ledger."""
        return self._database.read(lambda tx: carried.carry(tx, ages, now=now, ended=ended))

    def _dead(self, tx: Connection) -> Collection[str]:
        """Return the dead processes whose rows nobody has deleted yet: this one may not write for a day."""
        return holders.dead(tx, self._database.liveness, self._me.holder_id)

    def close(self) -> None:
        """Release all leases and close the ledger. Never fails because the ledger can't be written."""
        if not self._open:
            return
        self._open = False
        try:
            self._database.write(lambda tx: holders.unregister(tx, self._me), patient=False)
        except LedgerError:
            pass  # without its lock, our row counts as that of a dead process
        finally:
            self._liveness.end()
            self._database.close()

    def abandon(self) -> None:
        """Close the ledger as `kill -9` does, without releasing the leases. For simulations."""
        self._open = False
        self._liveness.abandon()
        self._database.close()
