"""Which orgs an export is about: those of the config in a scope, and those that the config had and has no more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from collector.app.scope import Scope
from collector.config import LoadedConfig
from collector.core.calendar_changes import by_the_ledger
from collector.core.present import PresentOrg
from collector.ledger import LedgerReader, Organization
from collector.model import Granularity, Org, Population, UnreadCredential, Zone


@dataclass(frozen=True, slots=True)
class Target:
    """An org that is read: `entry` is that of the config, or one made of what the ledger has of an org that is gone."""

    org: PresentOrg
    entry: Org
    row: Organization | None


def choose(ledger: LedgerReader, config: LoadedConfig, scope: Scope) -> list[Target]:
    """Return the orgs of a scope. Raises ConfigError for a name that fits none, and LedgerError."""
    names = frozenset(org.name for org in config.orgs)
    rows = ledger.locate(list(config.orgs), names=names)
    gone = _gone(ledger, names, {row.key for row in rows.values()})
    # A name of one that is gone is no mistake; a pattern may mean both kinds.
    of_gone = {one for one in scope.orgs if any(_fits(one, target.org.name) for target in gone)}
    given = [one for one in scope.orgs if one not in of_gone or any(_fits(one, name) for name in names)]
    entries = [] if scope.orgs and not given else replace(scope, orgs=tuple(given)).of(config.orgs)
    here = [_here(org, rows.get(org.name)) for org in entries]
    if scope.labels:
        return here
    chosen = [one for one in gone if not scope.orgs or any(_fits(name, one.org.name) for name in scope.orgs)]
    return [*here, *(one for one in chosen if scope.shard is None or scope.shard.has(one.entry))]


def unconfirmed(ledger: LedgerReader, targets: Sequence[Target]) -> list[Organization]:
    """Return organizations that have the name of an org of the config, while nothing has shown that they are that org.

    So it is after a ledger was lost: what was taken over from files is of an organization, and the answer that shows
    which org of the config has that is still missing, as of a refused one. Their numbers are not read.
    """
    names = {one.org.name for one in targets if one.org.in_config and one.org.org_id is None}
    if not names:
        return []
    known = {one.row.key for one in targets if one.row is not None}
    return [row for row in ledger.organizations() if row.name in names and row.org_id and row.key not in known]


def _gone(ledger: LedgerReader, names: Collection[str], present: Collection[int]) -> list[Target]:
    if not names:  # of a ledger alone: all that it has
        return [_there(row) for row in ledger.organizations()]
    keys = ledger.gone(names, present)
    return [_there(row) for row in ledger.organizations() if row.key in keys] if keys else []


def _here(org: Org, row: Organization | None) -> Target:
    entry = org if row is None or row.changed is None else by_the_ledger(org, row.changed)
    present = PresentOrg(
        name=org.name,
        org_id=row.org_id if row else None,
        org_name=row.org_name if row else None,
        labels=org.labels,
    )
    return Target(present, entry, row)


def _there(row: Organization) -> Target:
    """Return an org that the config has no more, by what the ledger has of it."""
    entry = Org(
        name=row.name,
        base_url="",
        credential=UnreadCredential(),
        zone=Zone.parse(row.zone),
        granularity=Granularity(row.granularity),
        populations=tuple(Population),
    )
    present = PresentOrg(name=row.name, org_id=row.org_id, org_name=row.org_name, labels={}, in_config=False)
    return Target(present, entry, row)


def _fits(given: str, name: str) -> bool:
    return given == name or (any(sign in given for sign in "*?[") and fnmatchcase(name, given))
