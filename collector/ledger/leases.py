"""Leases on orgs: one process at a time works on an org, for one batch at a time.

A lease is free when it was released, or when its holder is dead. A process that finds an org busy is noted as a
waiter. A waiter has no right to the lease: whoever releases it looks for waiters, and leaves the org free for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, select, update

from collector.core.ledger_entries import Holder
from collector.errors import RowsMergedError
from collector.ledger import schema
from collector.ledger.holders import Liveness, holder_of, remove_dead_holders, require_registered
from collector.ledger.schema import org, waiter
from collector.ledger.statements import batches, insert_into

# Built once: an org is leased and released with each batch of its slices.
_KEYS = org.c.id.in_(bindparam("keys", expanding=True))
_ACQUIRE = update(org).where(_KEYS, org.c.holder.is_(None)).values(holder=bindparam("me"))
_LEASED = select(org.c.id, schema.holder).join(schema.holder).where(_KEYS)
_RELEASE = update(org).where(_KEYS, org.c.holder == bindparam("me")).values(holder=None)

_WAITERS = waiter.c.org.in_(bindparam("keys", expanding=True))
_WAIT_NO_LONGER = delete(waiter).where(_WAITERS, waiter.c.holder == bindparam("me"))
_WAITED_FOR = select(waiter.c.org).where(_WAITERS, waiter.c.holder != bindparam("me"))


def acquire(tx: Connection, keys: Sequence[int], me: Holder, liveness: Liveness) -> dict[int, Holder]:
    """Lease the orgs that are free; wait for the others, and return their holders.

    Raises RowsMergedError if the row of an org was deleted, LedgerError if that of this process was.
    """
    require_registered(tx, me)
    remove_dead_holders(tx, me, liveness)
    holders: dict[int, Holder] = {}
    for batch in batches(keys):
        tx.execute(_ACQUIRE, {"keys": batch, "me": me.holder_id})
        holders.update((key, holder_of(row)) for key, *row in tx.execute(_LEASED, {"keys": batch}))
    if missing := set(keys) - holders.keys():
        raise RowsMergedError(
            f"{len(missing)} of the orgs no longer have the row that this run works with: another process found that "
            "each is a renamed org, and merged its row into the older one; run again"
        )
    busy = {key: holder for key, holder in holders.items() if holder.holder_id != me.holder_id}
    for batch in batches(holders.keys() - busy.keys()):
        tx.execute(_WAIT_NO_LONGER, {"keys": batch, "me": me.holder_id})
    if busy:
        wait = insert_into(waiter, tx).on_conflict_do_nothing()
        tx.execute(wait, [{"org": key, "holder": me.holder_id} for key in busy])
    return busy


def release(tx: Connection, keys: Iterable[int], me: Holder) -> None:
    """Release the leases that are ours, and wait no longer for the others."""
    for batch in batches(keys):
        tx.execute(_RELEASE, {"keys": batch, "me": me.holder_id})
        tx.execute(_WAIT_NO_LONGER, {"keys": batch, "me": me.holder_id})


def waited_for(tx: Connection, keys: Iterable[int], me: Holder) -> set[int]:
    """Return the orgs that another process waits for."""
    return {key for batch in batches(keys) for key in tx.scalars(_WAITED_FOR, {"keys": batch, "me": me.holder_id})}
