"""The rows of the table `org`, and which of them belongs to an org of the config. Writes nothing.

An org is found by the organization that its config entry pins, else by its name, else by the user of its credential.
The row of an org that pins its organization has that `org_id` from the start, so that no second row is made for the
organization: not by another name that pins it, not by an adoption. Until an answer or a sealed file confirms the pin
(then the row has an `org_name`), it may be corrected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from collector.core.identities import user_fingerprint
from collector.ledger.schema import alias, org
from collector.model import Org


@dataclass(frozen=True, slots=True)
class Row:
    """An org's row."""

    key: int
    org_id: str | None  # the organization, or the one that is expected: see `confirmed`
    name: str
    wanted_from: int
    org_name: str | None = None  # by the organization's last answer
    leased: bool = False

    @property
    def confirmed(self) -> bool:
        """Whether an answer, or a sealed file of one, has shown that the organization is the one of `org_id`."""
        return self.org_name is not None


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that an org has or had, and the fingerprint of its credential's user at that time."""

    key: int
    fingerprint: str | None


class OrgRows:
    """All orgs and aliases of the ledger (few enough for memory), indexed by pin, name and user."""

    def __init__(self, tx: Connection, names: Collection[str]) -> None:
        self.names = frozenset(names)  # of the config, as far as they are known
        columns = (org.c.id, org.c.org_id, org.c.name, org.c.wanted_from, org.c.org_name, org.c.holder.is_not(None))
        self._rows = {row.id: Row(*row) for row in tx.execute(select(*columns))}
        self._by_org_id = {row.org_id: row for row in self._rows.values() if row.org_id is not None}
        self.aliases = {row.name: Alias(row.org, row.fingerprint) for row in tx.execute(select(alias))}
        self._by_user: dict[str, set[int]] = {}
        self._names_of: dict[int, set[str]] = {}
        for name, known in self.aliases.items():
            self._names_of.setdefault(known.key, set()).add(name)
            if known.fingerprint is not None:
                self._by_user.setdefault(known.fingerprint, set()).add(known.key)
        self._scope: set[str] = set()  # the names of the orgs that are looked up
        self._found: dict[str, Row] = {}
        self._taken: set[int] = set()  # the keys of the rows that were found
        self.merged: dict[int, tuple[int, str]] = {}  # by the key of a row: the one it becomes part of, and the name

    def find(self, orgs: Sequence[Org]) -> dict[str, Row]:
        """Return the rows of the orgs that have one, by name. Each lookup runs for all orgs, the most certain first."""
        self._scope = {org_.name for org_ in orgs}
        for look_up in (self._by_pin, self._by_name, self._by_user_renamed, self._by_pin):
            for org_ in orgs:
                if org_.name in self._found:
                    continue
                if (row := self._by_pin(org_) or look_up(org_)) is not None:
                    self._take(row, org_)
        for org_ in orgs:
            if org_.name in self._found and org_.org_id is not None:
                self._find_unconfirmed(org_, self._found[org_.name])
        return self._found

    def may_expect(self, row: Row, org_id: str | None) -> bool:
        """Return whether a row may have a pin: no other row has it."""
        return org_id is None or self._by_org_id.get(org_id, row).key == row.key

    def _take(self, row: Row, org_: Org) -> None:
        self._found[org_.name] = row
        self._taken.add(row.key)
        if org_.org_id is not None:
            self._by_org_id[org_.org_id] = row
        # With the new name, no other org is found as a rename of this one.
        self._rows[row.key] = replace(row, name=org_.name, org_id=row.org_id if row.confirmed else org_.org_id)

    def _find_unconfirmed(self, org_: Org, row: Row) -> None:
        """Find the second row of an org that was registered without the pin by which it has another one now.

        It is merged, so that no process leases it beside that other one. If a process has leased it, it is the org's
        row until the first answer merges it.
        """
        second = self._by_name(org_) or self._by_user_renamed(org_)
        if second is None or second.confirmed or second.key in self._taken:
            return
        self._taken.add(second.key)
        if second.leased:
            self._found[org_.name] = second
        else:
            self.merged[second.key] = row.key, org_.name
            self._found[org_.name] = replace(row, wanted_from=min(row.wanted_from, second.wanted_from))

    def _by_pin(self, org_: Org) -> Row | None:
        return None if org_.org_id is None else self._by_org_id.get(org_.org_id)

    def _by_name(self, org_: Org) -> Row | None:
        known = self.aliases.get(org_.name)
        if known is None:
            return None
        row = self._rows[known.key]
        # The row's org was renamed, and its new name is in the config too. So the old name now belongs to another
        # org, unless the user is the same.
        given_away = row.name != org_.name and row.name in self.names
        same_user = known.fingerprint is not None and known.fingerprint == user_fingerprint(org_)
        return None if given_away and not same_user else self._unless_another(row, org_)

    def _by_user_renamed(self, org_: Org) -> Row | None:
        user = user_fingerprint(org_)
        rows = [self._rows[key] for key in self._by_user.get(user, ())] if user is not None else []
        renamed = [row for row in rows if row.name not in self.names]
        return self._unless_another(renamed[0], org_) if len(renamed) == 1 else None

    def _unless_another(self, row: Row, org_: Org) -> Row | None:
        """Return the row, or None if it belongs to another organization than the one that the config pins.

        Also None if another org of the config expects its organization there, and this one does not.
        """
        if row.confirmed:
            return row if org_.org_id in (None, row.org_id) else None
        others = (self._names_of.get(row.key, set()) & self.names) - {org_.name}
        expected = row.org_id is not None and bool(others - self._scope)
        return row if row.org_id == org_.org_id or not (expected or row.key in self._taken) else None
