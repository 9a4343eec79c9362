"""The ranges that backfills were asked for: they are wanted until they are complete."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from collector.adapters.ledger import schema
from collector.adapters.ledger.codec import instant_of, micros
from collector.core.windows import merge
from collector.model import Window


def wanted(tx: Connection, key: int) -> list[Window]:
    """Return the ranges of an org, oldest first; none touches another."""
    rows = tx.execute(
        select(schema.wanted.c.start, schema.wanted.c.end)
        .where(schema.wanted.c.org == key)
        .order_by(schema.wanted.c.start)
    )
    return [Window(instant_of(start), instant_of(end)) for start, end in rows]


def want(tx: Connection, key: int, span: Window) -> None:
    """Add a range."""
    before = wanted(tx, key)
    after = merge([*before, span])
    if after != before:
        tx.execute(delete(schema.wanted).where(schema.wanted.c.org == key))
        rows = [{"org": key, "start": micros(window.start), "end": micros(window.end)} for window in after]
        tx.execute(insert(schema.wanted), rows)
