"""Orgs that were refused: asked again when their entry or secret changes, or after a while.

A refused credential stays refused until a person acts, and asking on and on may lock an
account. But a permission may be granted without anything changing here, so a quarantined org is
tried again now and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.errors import RefusalReason, Refused
from collector.model import Credential, Org

QUARANTINE_FOR = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """An org that was refused. `since` is when it was refused first."""

    refused: Refused
    since: datetime
    again_at: datetime


@dataclass(slots=True)
class Quarantine:
    """The orgs that are not asked for now, by name."""

    quarantined: dict[str, Quarantined] = field(default_factory=dict)

    def quarantine(self, name: str, refused: Refused, now: datetime) -> None:
        """Note that an org was refused."""
        before = self.quarantined.get(name)
        since = before.since if before else now
        self.quarantined[name] = Quarantined(refused=refused, since=since, again_at=now + QUARANTINE_FOR)

    def accepted(self, name: str) -> None:
        """Note that an org was answered."""
        self.quarantined.pop(name, None)

    def waiting(self, now: datetime) -> set[str]:
        """Return the orgs that are left alone now."""
        # A clock that went back doesn't prolong it.
        return {
            name
            for name, quarantined in self.quarantined.items()
            if quarantined.again_at - QUARANTINE_FOR <= now < quarantined.again_at
        }

    def of_others(self) -> list[str]:
        """Return the orgs that were refused for what another entry, or the config itself, says."""
        return [
            n for n, quarantined in self.quarantined.items() if quarantined.refused.reason is RefusalReason.DUPLICATE
        ]

    def release(self, names: Iterable[str], now: datetime) -> None:
        """Let orgs be asked at once, without forgetting that they were refused."""
        for name in names:
            if before := self.quarantined.get(name):
                self.quarantined[name] = Quarantined(refused=before.refused, since=before.since, again_at=now)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others: they are no more in the config."""
        kept = set(names)
        self.quarantined = {name: quarantined for name, quarantined in self.quarantined.items() if name in kept}


def work_of(org: Org) -> tuple[object, ...]:
    """Return all of an org's entry that decides what is asked of whom; labels do not."""
    credential: Credential = org.credential
    return (org.base_url, credential, org.zone.name, org.granularity, org.populations, org.since, org.org_id)


def entry_of(org: Org) -> tuple[object, ...]:
    """Return all of an org's entry."""
    return (org.name, dict(org.labels), *work_of(org))


def touched(old: Iterable[Org], new: Iterable[Org]) -> list[str]:
    """Return the orgs that are new, or whose entry or secret differs, in the order of the config."""
    before = {org.name: work_of(org) for org in old}
    return [org.name for org in new if before.get(org.name) != work_of(org)]
