"""Which orgs changed since a look: each has a number, which every transaction raises that changes what is known of it.

Transactions that write run one after the other, so a larger number is also a later commit. It is cheap to look at: an
index finds the orgs that changed, whoever changed them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, func, select, update

from collector.ledger.schema import alias, org
from collector.ledger.statements import batches

_NEWEST = select(func.coalesce(func.max(org.c.changed), 0))
_NOTE = (
    update(org)
    .where(org.c.id.in_(bindparam("keys", expanding=True)))
    .values(changed=select(func.coalesce(func.max(org.alias().c.changed), 0) + 1).scalar_subquery())
)
_SINCE = select(org.c.id).where(org.c.changed > bindparam("seen"))
_NAMED = select(alias.c.org).where(alias.c.name.in_(bindparam("names", expanding=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The orgs that changed since a look, and the number for the next look."""

    newest: int
    keys: Collection[int] = field(default=())


def note(tx: Connection, keys: Iterable[int]) -> None:
    """Note that what is known of orgs changes in this transaction."""
    for batch in batches(sorted({*keys})):
        tx.execute(_NOTE, {"keys": batch})


def note_names(tx: Connection, names: Iterable[str]) -> None:
    """Note it of the orgs of these entries."""
    for batch in batches(names):
        note(tx, tx.scalars(_NAMED, {"names": batch}).all())


def since(tx: Connection, seen: int | None) -> Changes:
    """Return the orgs that changed after a look; none without one, and all in a ledger that is older than the look."""
    newest: int = tx.execute(_NEWEST).scalar_one()
    if seen is None:
        return Changes(newest=newest)
    return Changes(newest=newest, keys=tx.scalars(_SINCE, {"seen": -1 if newest < seen else seen}).all())
