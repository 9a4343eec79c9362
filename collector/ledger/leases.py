"""Leases on orgs: one process at a time works on an org, for one batch at a time.

A lease is free when it was released, or when its holder is dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select, update

from collector.core.ledger_entries import Holder
from collector.errors import LedgerError
from collector.ledger import schema
from collector.ledger.holders import Liveness, holder_of, remove_dead_holders, require_registered
from collector.ledger.schema import org
from collector.ledger.statements import batches

# Built once: an org is leased and released with each batch of its slices.
_KEYS = org.c.id.in_(bindparam("keys", expanding=True))
_ACQUIRE = update(org).where(_KEYS, org.c.holder.is_(None)).values(holder=bindparam("me"))
_LEASED = select(org.c.id, schema.holder).join(schema.holder).where(_KEYS)
_RELEASE = update(org).where(_KEYS, org.c.holder == bindparam("me")).values(holder=None)


def acquire(tx: Connection, keys: Sequence[int], me: Holder, liveness: Liveness) -> dict[int, Holder]:
    """Lease the orgs that are free; return the holders of the others.

    Raises LedgerError if the row of an org or of this process was deleted.
    """
    require_registered(tx, me)
    remove_dead_holders(tx, me, liveness)
    holders: dict[int, Holder] = {}
    for batch in batches(keys):
        tx.execute(_ACQUIRE, {"keys": batch, "me": me.holder_id})
        holders.update((key, holder_of(row)) for key, *row in tx.execute(_LEASED, {"keys": batch}))
    if missing := set(keys) - holders.keys():
        raise LedgerError(
            f"{len(missing)} of the orgs no longer have the row that this run works with: another process found that "
            "each is a renamed org, and merged its row into the older one; run again"
        )
    return {key: holder for key, holder in holders.items() if holder.holder_id != me.holder_id}


def release(tx: Connection, keys: Iterable[int], me: Holder) -> None:
    """Release the leases that are ours."""
    for batch in batches(keys):
        tx.execute(_RELEASE, {"keys": batch, "me": me.holder_id})
