"""Who works on an org: one process at a time, for a batch at a time.

A lease is free when it is given back, or when its holder lives no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select, update

from collector.core.ledger_entries import Holder
from collector.errors import LedgerError
from collector.ledger import schema
from collector.ledger.holders import Liveness, bury_dead, expect_alive, holder_of
from collector.ledger.schema import org
from collector.ledger.statements import batches

# Made once: an org is claimed and released with each batch of its slices.
_KEYS = org.c.id.in_(bindparam("keys", expanding=True))
_TAKE = update(org).where(_KEYS, org.c.holder.is_(None)).values(holder=bindparam("me"))
_HELD = select(org.c.id, schema.holder).join(schema.holder).where(_KEYS)
_GIVE_BACK = update(org).where(_KEYS, org.c.holder == bindparam("me")).values(holder=None)


def acquire(tx: Connection, keys: Sequence[int], me: Holder, liveness: Liveness) -> dict[int, Holder]:
    """Take what is free; return who holds the rest. Raises LedgerError if an org is gone, or our row."""
    expect_alive(tx, me)
    bury_dead(tx, me, liveness)
    holders: dict[int, Holder] = {}
    for batch in batches(keys):
        tx.execute(_TAKE, {"keys": batch, "me": me.holder_id})
        holders.update((key, holder_of(row)) for key, *row in tx.execute(_HELD, {"keys": batch}))
    if gone := set(keys) - holders.keys():
        raise LedgerError(
            f"{len(gone)} of the orgs are no more in the ledger under the number that they had: another process "
            "found that they are other names of orgs that it knows; call again"
        )
    return {key: holder for key, holder in holders.items() if holder.holder_id != me.holder_id}


def release(tx: Connection, keys: Iterable[int], me: Holder) -> None:
    """Give back what is ours."""
    for batch in batches(keys):
        tx.execute(_GIVE_BACK, {"keys": batch, "me": me.holder_id})
