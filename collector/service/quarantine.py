"""Orgs that were refused: they are tried again when their entry or secret changes, or after some hours.

A refused credential stays refused until a person acts, and requests without end may lock an
account. But a person may grant a permission without a change of the config, so a quarantined org
is tried again after `QUARANTINE_FOR`. An org is tried again in the next run if its refusal may be a
host's or a gateway's fault (`doubtful`).

A restarted service quarantines no org: its first run tries each once, since what was refused may be fixed by now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from collector.errors import RefusalReason, Refused
from collector.model import Credential, Org

QUARANTINE_FOR = timedelta(hours=6)
_BY_THE_HOST = frozenset({RefusalReason.CREDENTIAL, RefusalReason.NOT_ADMIN, RefusalReason.PERMISSION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """An org that was refused in a run of this service. Since when it is refused, the ledger knows."""

    refused: Refused
    again_at: datetime


@dataclass(slots=True)
class Quarantine:
    """The orgs that are not fetched now, by name."""

    quarantined: dict[str, Quarantined] = field(default_factory=dict)

    def quarantine(self, name: str, refused: Refused, now: datetime) -> None:
        """Note that an org was refused."""
        self.quarantined[name] = Quarantined(refused=refused, again_at=now + QUARANTINE_FOR)

    def accepted(self, name: str) -> None:
        """Note that the API answered for an org."""
        self.quarantined.pop(name, None)

    def waiting(self, now: datetime) -> set[str]:
        """Return the orgs that are not fetched now."""
        # A clock that was set back doesn't make it longer.
        return {
            name
            for name, quarantined in self.quarantined.items()
            if quarantined.again_at - QUARANTINE_FOR <= now < quarantined.again_at
        }

    def duplicates(self) -> list[str]:
        """Return the orgs that were refused because of another entry of the config."""
        return [n for n, one in self.quarantined.items() if one.refused.reason is RefusalReason.DUPLICATE]

    def release(self, names: Iterable[str], now: datetime) -> None:
        """Let orgs be fetched at once, but remember that they were refused."""
        for name in names:
            if before := self.quarantined.get(name):
                self.quarantined[name] = Quarantined(refused=before.refused, again_at=now)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all other orgs: they are not in the config any more."""
        kept = set(names)
        self.quarantined = {name: quarantined for name, quarantined in self.quarantined.items() if name in kept}


def doubtful(refused: Iterable[tuple[Org, Refused]], answering: Iterable[str]) -> set[str]:
    """Return the orgs whose refusal in a run may not be the fault of their credentials.

    These are orgs that were refused in a way that the API doesn't document, and several orgs of one host
    that answered none (`answering`: the hosts that answered any org).
    """
    doubted, by_host = set(), defaultdict(set)
    for org, refusal in refused:
        if refusal.reason is RefusalReason.FORBIDDEN:
            doubted.add(org.name)
        elif refusal.reason in _BY_THE_HOST:
            by_host[org.host].add(org.name)
    for host, names in by_host.items():
        if len(names) > 1 and host not in answering:
            doubted |= names
    return doubted


def fetch_key_of(org: Org) -> tuple[object, ...]:
    """Return the part of an org's entry that decides what is fetched, and with which credential: not its labels."""
    credential: Credential = org.credential
    return (org.base_url, credential, org.zone.name, org.granularity, org.populations, org.since, org.org_id)


def entry_of(org: Org) -> tuple[object, ...]:
    """Return an org's entry as a value to compare."""
    return (org.name, dict(org.labels), *fetch_key_of(org))


def touched(old: Iterable[Org], new: Iterable[Org]) -> list[str]:
    """Return the orgs that are new, or whose entry or secret differs, in the order of the config."""
    before = {org.name: fetch_key_of(org) for org in old}
    return [org.name for org in new if before.get(org.name) != fetch_key_of(org)]
