"""Who a ledger is, and where its records go (`core.outputs`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select

from collector.core.outputs import STDOUT, KnownOutputs, Output
from collector.ledger.schema import ledger, output
from collector.ledger.statements import insert_into


def known(tx: Connection) -> KnownOutputs:
    """Return the ledger's id, and where its records went, the latest first."""
    rows = tx.execute(select(output).order_by(output.c.number.desc(), output.c.path))
    return KnownOutputs(
        ledger_id=tx.scalars(select(ledger.c.id)).one(),
        outputs=tuple(_output(row) for row in rows),
    )


def deliver_to(tx: Connection, one: Output) -> None:
    """Note an output as the latest. Once there is a directory, stdout is none of them any more.

    Nothing is written for the one that is the latest already.
    """
    key = {"path": one.path, "directory_id": one.directory_id or "", "host": one.host, "shard": one.shard}
    latest = tx.execute(select(output).order_by(output.c.number.desc()).limit(1)).first()
    if latest is not None and {name: latest._mapping[name] for name in key} == key:  # noqa: SLF001 - SQLAlchemy's own
        return
    if one.path != STDOUT:
        tx.execute(delete(output).where(output.c.path == STDOUT))
    number = (tx.scalar(select(func.max(output.c.number))) or 0) + 1
    statement = insert_into(output, tx).values(number=number, **key)
    tx.execute(statement.on_conflict_do_update(index_elements=list(key), set_={"number": number}))


def _output(row: Any) -> Output:
    return Output(path=row.path, directory_id=row.directory_id or None, host=row.host, shard=row.shard)
