"""The runs: one without an end is going on, or its process is gone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from collector.core.ledger_entries import Holder
from collector.ledger.codec import micros
from collector.ledger.holders import Liveness, bury_dead, is_buried, register
from collector.ledger.schema import run
from collector.ledger.statements import insert_into


def begin_run(tx: Connection, run_id: str, command: str, now: datetime, *, me: Holder, liveness: Liveness) -> list[str]:
    """Book a run; end those that were interrupted, and return their ids, oldest first.

    Who was taken for dead while nothing of it was under way is alive again: a service whose server was away.
    """
    if is_buried(tx, me):
        register(tx, me, liveness)
    bury_dead(tx, me, liveness)
    interrupted = (run.c.ended_at.is_(None), run.c.holder.is_(None))
    ids = tx.scalars(select(run.c.run_id).where(*interrupted).order_by(run.c.started_at, run.c.run_id)).all()
    tx.execute(update(run).where(*interrupted).values(ended_at=micros(now)))
    begun = {"run_id": run_id, "command": command, "holder": me.holder_id, "started_at": micros(now)}
    tx.execute(insert_into(run, tx).values(begun).on_conflict_do_nothing())
    return list(ids)


def end_run(tx: Connection, run_id: str, exit_code: int | None, now: datetime) -> None:
    """Book the end of a run; without an exit code it was cut short."""
    tx.execute(update(run).where(run.c.run_id == run_id).values(ended_at=micros(now), exit_code=exit_code))
