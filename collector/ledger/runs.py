"""The runs. A run without an end is still running, or its process is dead."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from collector.core.exit_codes import ExitCode
from collector.core.ledger_entries import Holder
from collector.ledger.codec import micros
from collector.ledger.holders import Liveness, is_registered, register, remove_dead_holders
from collector.ledger.schema import BEGINNING, run
from collector.ledger.statements import insert_into


def begin_run(tx: Connection, run_id: str, command: str, now: datetime, *, me: Holder, liveness: Liveness) -> list[str]:
    """Commit the start of a run. End the runs that were interrupted, and return their ids, oldest first.

    If our row was deleted between two runs, it is written again: a service may outlast an unreachable server.
    """
    if not is_registered(tx, me):
        register(tx, me, liveness)
    remove_dead_holders(tx, me, liveness)
    interrupted = (run.c.ended_at.is_(None), run.c.holder.is_(None))
    ids = tx.scalars(select(run.c.run_id).where(*interrupted).order_by(run.c.started_at, run.c.run_id)).all()
    tx.execute(update(run).where(*interrupted).values(ended_at=micros(now)))
    begun = {"run_id": run_id, "command": command, "holder": me.holder_id, "started_at": micros(now)}
    tx.execute(insert_into(run, tx).values(begun).on_conflict_do_nothing())
    return list(ids)


def end_run(tx: Connection, run_id: str, exit_code: int | None, now: datetime) -> None:
    """Commit the end of a run; without an exit code it was interrupted."""
    tx.execute(update(run).where(run.c.run_id == run_id).values(ended_at=micros(now), exit_code=exit_code))


def without_manifest(
    tx: Connection, run_ids: Collection[str], *, manifests: Collection[str], now: datetime
) -> list[str]:
    """Return those of the ended runs whose manifest may be missing, and that ended after the newest manifest's began.

    Those that had ended before are in the newest manifest. Runs that ended by themselves wrote their own, unless the
    output failed. A run that began later than now isn't the newest: the clock was set back since.
    """
    known = select(run.c.run_id, run.c.started_at).where(run.c.started_at <= micros(now))
    newest_first = tx.execute(known.order_by(run.c.started_at.desc()))
    begun = next((row.started_at for row in newest_first if row.run_id in manifests), None)
    failed = or_(run.c.exit_code.is_(None), run.c.exit_code == ExitCode.OUTPUT)
    query = select(run.c.run_id).where(failed, run.c.ended_at > (BEGINNING if begun is None else begun))
    return [run_id for run_id in tx.scalars(query.order_by(run.c.run_id)) if run_id in run_ids]
