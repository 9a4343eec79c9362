"""The identity of an org: which organization answers for it. The first answer sets it, once.

A renamed org first gets a new row. When its answer shows an organization that the ledger already knows,
the new row is merged into the old one. The new row has no slice that anything was emitted for.
The organization that a config entry pins is only expected until then: another one may answer.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from collector.core.ledger_entries import CalendarChanged, Holder
from collector.ledger import changes, ranges
from collector.ledger.calendars import Calendars
from collector.ledger.holders import Liveness
from collector.ledger.leases import acquire, release
from collector.ledger.schema import alias, org, slice_
from collector.model import Org


def identify(
    tx: Connection,
    key: int,
    *,
    name: str,
    org_id: str,
    org_name: str,
    me: Holder,
    liveness: Liveness,
    entry: Org | None = None,
) -> int | Holder | CalendarChanged:
    """Set the identity of an org (`Ledger.identify`)."""
    row = tx.execute(select(org.c.org_id, org.c.org_name).where(org.c.id == key)).one_or_none()
    if row is not None and row.org_name is not None and row.org_id != org_id:
        raise ValueError(f"org {name} is another organization than before: the caller has to refuse it")
    known = None
    if row is None or row.org_id != org_id:
        known = tx.scalar(select(org.c.id).where(org.c.org_id == org_id))
    target = key if known is None else known
    if holder := acquire(tx, [target], me, liveness).get(target):
        return holder
    if known is not None and entry is not None:
        calendars = Calendars(tx, [known])
        changed = calendars.resolve({name: (known, entry)})[name]
        if isinstance(changed, CalendarChanged):
            release(tx, [known], me)
            return changed  # else the caller registers the org by the row: that writes its calendar
    if known is not None:
        merge(tx, key, known, name)
    if known is not None or row is None or (row.org_id, row.org_name) != (org_id, org_name):
        tx.execute(update(org).where(org.c.id == target).values(org_id=org_id, org_name=org_name))
        changes.note(tx, [target])
    return target


def merge(tx: Connection, fresh: int, into: int, name: str) -> None:
    """Move ranges and aliases of the fresh row to the other; its failed slices are deleted and fetched again."""
    if tx.scalar(select(slice_.c.org).where(slice_.c.org == fresh, slice_.c.emission.is_not(None)).limit(1)):
        raise ValueError(f"org {name} has emitted slices without an organization")
    changes.note(tx, [into])  # before a row is deleted: the largest number stays
    since = tx.scalar(select(org.c.wanted_from).where(org.c.id == fresh))
    if since is not None:  # else another process has already merged it
        tx.execute(update(org).where(org.c.id == into, org.c.wanted_from > since).values(wanted_from=since))
    ranges.want(tx, {into: ranges.wanted(tx, fresh)})
    tx.execute(update(alias).where(alias.c.org == fresh).values(org=into))
    tx.execute(update(org).where(org.c.id == into).values(name=name, removed_at=None, forgotten_at=None))
    tx.execute(delete(slice_).where(slice_.c.org == fresh))
    tx.execute(delete(org).where(org.c.id == fresh))
