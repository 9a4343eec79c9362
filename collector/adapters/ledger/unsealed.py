"""The files that are begun and not sealed: what of them is booked, and whether their seal is intended."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from collector.adapters.ledger import schema
from collector.adapters.ledger.codec import STATE
from collector.adapters.ledger.holders import Liveness, bury_dead
from collector.adapters.ledger.schema import slice_
from collector.errors import LedgerError
from collector.model import SliceState
from collector.ports.ledger import Holder, UnsealedFile

_FILE = schema.file.c


def open_file(tx: Connection, run_id: str, directory: str, name: str, me: Holder) -> UnsealedFile:
    """Book a file before it is created."""
    row = {"run_id": run_id, "directory": directory, "name": name, "bytes": 0, "records": 0, "seal_intended": False}
    statement = insert(schema.file).values(**row, holder=me.holder_id).returning(_FILE.id)
    file_id = tx.scalars(statement).one()
    return UnsealedFile(
        file_id=file_id, run_id=run_id, directory=directory, name=name, bytes=0, records=0, seal_intended=False
    )


def book(tx: Connection, file: UnsealedFile, me: Holder) -> None:
    """Write how far a file is booked."""
    _change(tx, file.file_id, me, bytes=file.bytes, records=file.records)


def intend_seal(tx: Connection, file_id: int, me: Holder) -> None:
    """Book the intent."""
    _change(tx, file_id, me, seal_intended=True)


def sealed(tx: Connection, file_id: int) -> None:
    """Forget a file, and that slices stand in it: they are safe."""
    tx.execute(update(slice_).where(slice_.c.file == file_id).values(file=None, prior=None))
    tx.execute(delete(schema.file).where(_FILE.id == file_id))


def lost(tx: Connection, file_id: int) -> int:
    """Forget a file that is gone, and what was emitted of slices into it."""
    taken_back = tx.execute(
        update(slice_)
        .where(slice_.c.file == file_id)
        .values(
            state=STATE[SliceState.FAILED],
            code="lost",
            complete_at=None,
            emission=slice_.c.prior,
            shrunk=None,
            file=None,
            prior=None,
        )
    )
    tx.execute(delete(schema.file).where(_FILE.id == file_id))
    return taken_back.rowcount


def left_behind(tx: Connection, me: Holder, liveness: Liveness) -> list[UnsealedFile]:
    """Take over the files of processes that live no more, and those of our own runs that have ended."""
    bury_dead(tx, me, liveness)
    ended = select(schema.run.c.run_id).where(schema.run.c.ended_at.is_not(None))
    left = or_(_FILE.holder.is_(None), and_(_FILE.holder == me.holder_id, _FILE.run_id.in_(ended)))
    rows = tx.execute(select(schema.file).where(left).order_by(_FILE.id)).all()
    tx.execute(update(schema.file).where(_FILE.id.in_([row.id for row in rows])).values(holder=me.holder_id))
    return [
        UnsealedFile(
            file_id=row.id,
            run_id=row.run_id,
            directory=row.directory,
            name=row.name,
            bytes=row.bytes,
            records=row.records,
            seal_intended=row.seal_intended,
        )
        for row in rows
    ]


def _change(tx: Connection, file_id: int, me: Holder, **values: object) -> None:
    ours = update(schema.file).where(_FILE.id == file_id, _FILE.holder == me.holder_id)
    if tx.execute(ours.values(**values)).rowcount != 1:
        raise LedgerError(
            f"file {file_id} isn't this process's any more: another one took us for dead and took it over; call again"
        )
