"""The ranges that backfills requested: they are wanted until they are complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from collector.core.windows import merge
from collector.ledger import changes, schema
from collector.ledger.codec import instant_of, micros
from collector.ledger.statements import batches
from collector.model import Window


def wanted(tx: Connection, key: int) -> list[Window]:
    """Return the ranges of an org, oldest first. No two of them touch."""
    return wanted_of(tx, [key]).get(key, [])


def wanted_of(tx: Connection, keys: Iterable[int]) -> dict[int, list[Window]]:
    """Return the ranges of those orgs that have any, oldest first."""
    found: dict[int, list[Window]] = {}
    table = schema.wanted.c
    for batch in batches(keys):
        query = select(table.org, table.start, table.end).where(table.org.in_(batch)).order_by(table.org, table.start)
        for key, start, end in tx.execute(query):
            found.setdefault(key, []).append(Window(instant_of(start), instant_of(end)))
    return found


def want(tx: Connection, spans: Mapping[int, Sequence[Window]]) -> None:
    """Add ranges of orgs, by key, merged with those that they touch."""
    before = wanted_of(tx, spans)
    after = {key: merge([*before.get(key, ()), *given]) for key, given in spans.items()}
    changed = {key: windows for key, windows in after.items() if windows != before.get(key, [])}
    for batch in batches(changed):
        tx.execute(delete(schema.wanted).where(schema.wanted.c.org.in_(batch)))
        rows = [
            {"org": key, "start": micros(window.start), "end": micros(window.end)}
            for key in batch
            for window in changed[key]
        ]
        tx.execute(insert(schema.wanted), rows)
    changes.note(tx, changed)
