"""The unsealed files: how much of each is committed, and whether its seal is intended.

A file of a dead process is left behind. A process that sees its directory takes it over; until then the
file is awaited, and its slices are in doubt.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from collector.core.ledger_entries import RELABEL, Holder, UnsealedFile
from collector.errors import LedgerError
from collector.ledger import changes, restatements, schema
from collector.ledger.codec import STATE
from collector.ledger.holders import Liveness, remove_dead_holders, require_registered
from collector.ledger.schema import slice_
from collector.ledger.statements import batches
from collector.model import SliceState

_FILE = schema.file.c


def open_file(tx: Connection, run_id: str, directory: str, name: str, *, place: str | None, me: Holder) -> UnsealedFile:
    """Commit a file before it is created. If it was committed already and is empty, return that row."""
    require_registered(tx, me)
    same = (_FILE.holder == me.holder_id, _FILE.run_id == run_id, _FILE.directory == directory, _FILE.name == name)
    row = tx.execute(select(schema.file).where(*same, _FILE.bytes == 0)).first()
    if row is None:
        values = {"run_id": run_id, "directory": directory, "name": name, "host": me.host, "place": place}
        begun = insert(schema.file).values(**values, bytes=0, records=0, seal_intended=False, holder=me.holder_id)
        row = tx.execute(begun.returning(schema.file)).one()
    return file_of(row)


def commit(tx: Connection, file: UnsealedFile, me: Holder) -> None:
    """Write the committed size of a file."""
    _update(tx, file.file_id, me, bytes=file.bytes, records=file.records)


def intend_seal(tx: Connection, file_id: int, me: Holder) -> None:
    """Commit the intent to seal a file."""
    _update(tx, file_id, me, seal_intended=True)


def withdraw_seal(tx: Connection, file_id: int, me: Holder) -> None:
    """Take the intent back: the file was not renamed, so that one that is gone is lost and not sealed."""
    _update(tx, file_id, me, seal_intended=False)


def sealed(tx: Connection, file_id: int) -> None:
    """Delete the row of a sealed file. Its slices and restatements no longer refer to it."""
    restatements.sealed(tx, file_id)
    tx.execute(update(slice_).where(slice_.c.file == file_id).values(file=None, prior=None))
    tx.execute(delete(schema.file).where(_FILE.id == file_id))


def lost(tx: Connection, file_id: int) -> int:
    """Delete the row of a lost file, and reset its slices to what sealed files hold; return how many slices.

    They are to be fetched again, unless the file only restated their names and labels.
    """
    changes.note(tx, tx.scalars(select(slice_.c.org).where(slice_.c.file == file_id).distinct()).all())
    values: dict[str, Any] = {"emission": slice_.c.prior, "file": None, "prior": None, "naming": None}
    if not _restates(tx, file_id):
        values |= {"state": STATE[SliceState.FAILED], "code": "lost", "complete_at": None}
    restatements.lost(tx, file_id)
    reset = tx.execute(update(slice_).where(slice_.c.file == file_id).values(values))
    tx.execute(delete(schema.file).where(_FILE.id == file_id))
    return reset.rowcount


def _restates(tx: Connection, file_id: int) -> bool:
    """Return whether a file holds records that were emitted before with the same numbers: then nothing is lost."""
    of_file = select(schema.run.c.command).join(schema.file, _FILE.run_id == schema.run.c.run_id)
    command: str | None = tx.scalar(of_file.where(_FILE.id == file_id))
    return command is not None and command.partition(" ")[0] == RELABEL


def left_behind(tx: Connection, me: Holder, liveness: Liveness) -> list[UnsealedFile]:
    """Return the files of dead processes, and those of our own runs that have ended, oldest first."""
    remove_dead_holders(tx, me, liveness)
    return [file_of(row) for row in tx.execute(select(schema.file).where(_is_left_behind(me)).order_by(_FILE.id))]


def take_over(tx: Connection, file_ids: Collection[int], me: Holder) -> list[UnsealedFile]:
    """Make left-behind files ours, and return them. Files that another process took over first are left out."""
    require_registered(tx, me)
    ours: list[UnsealedFile] = []
    for batch in batches(sorted(file_ids)):
        free = and_(_FILE.id.in_(batch), or_(_FILE.holder.is_(None), _FILE.holder == me.holder_id))
        tx.execute(update(schema.file).where(free).values(holder=me.holder_id))
        ours += [file_of(row) for row in tx.execute(select(schema.file).where(free).order_by(_FILE.id))]
    return ours


def _is_left_behind(me: Holder) -> ColumnElement[bool]:
    ended = select(schema.run.c.run_id).where(schema.run.c.ended_at.is_not(None))
    return or_(_FILE.holder.is_(None), and_(_FILE.holder == me.holder_id, _FILE.run_id.in_(ended)))


def file_of(row: Any) -> UnsealedFile:
    """Return the file of a row of the file table."""
    return UnsealedFile(
        file_id=row.id,
        run_id=row.run_id,
        directory=row.directory,
        name=row.name,
        bytes=row.bytes,
        records=row.records,
        seal_intended=row.seal_intended,
        host=row.host,
        place=row.place,
    )


def require_ours(tx: Connection, file_id: int, me: Holder) -> None:
    """Raise LedgerError if another process has taken a file over."""
    _update(tx, file_id, me, seal_intended=True)


def _update(tx: Connection, file_id: int, me: Holder, **values: object) -> None:
    ours = update(schema.file).where(_FILE.id == file_id, _FILE.holder == me.holder_id)
    if tx.execute(ours.values(**values)).rowcount != 1:
        raise LedgerError(
            f"file {file_id} no longer belongs to this process: another process assumed that this one is dead and took "
            "the file over; run again"
        )
