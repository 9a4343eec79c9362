"""The simulated organizations, and which of them a credential belongs to.

Owns names, identities and credentials, all derived from the seed. Knows neither an org's usage (`usage`)
nor its faults (`fault_script`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.simulator.habits import keyed_int

_FIRST = (
    "Acme",
    "Blue Harbor",
    "Cedar",
    "Delta",
    "Evergreen",
    "Fjord",
    "Granite",
    "Harvest",
    "Ionic",
    "Juniper",
)
_SECOND = (
    "Analytics",
    "Bank",
    "Commerce",
    "Devices",
    "Energy",
    "Foods",
    "Games",
    "Health",
    "Insurance",
    "Media",
)
_FORM = ("Inc", "Ltd", "GmbH", "Corp", "AG", "LLC", "Pte Ltd", "S.A.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """One organization and the two credentials that it accepts."""

    name: str
    org_id: str
    display_name: str
    username: str
    access_key: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The caller of a request: its org, if known, and whether its secret is right."""

    scheme: str | None = None  # basic, bearer, other
    org: Org | None = None
    accepted: bool = False


class Directory:
    """All orgs, found by name or by the Authorization header of a request."""

    def __init__(self, orgs: Sequence[Org]) -> None:
        self.orgs = tuple(orgs)
        self._by_name = {org.name: org for org in orgs}
        self._by_username = {org.username: org for org in orgs}
        self._by_token = {org.token: org for org in orgs}

    @classmethod
    def from_seed(cls, seed: int, count: int) -> Directory:
        """Return `count` orgs, `org-001` and following."""
        return cls([_org(seed, number) for number in range(1, count + 1)])

    def get(self, name: str) -> Org | None:
        """Return the org of that name, if there is one."""
        return self._by_name.get(name)

    def caller(self, authorization: str | None) -> Caller:
        """Return the caller by the value of the Authorization header."""
        if not authorization:
            return Caller()
        scheme, _, value = authorization.partition(" ")
        match scheme.lower():
            case "basic":
                return self._basic(value.strip())
            case "bearer":
                org = self._by_token.get(value.strip())
                return Caller(scheme="bearer", org=org, accepted=org is not None)
            case _:
                return Caller(scheme="other")

    def _basic(self, value: str) -> Caller:
        try:
            pair = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            return Caller(scheme="basic")
        username, _, access_key = pair.partition(":")
        org = self._by_username.get(username)
        # With a known name and a wrong key the org is set, so that the journal counts the request for it.
        return Caller(scheme="basic", org=org, accepted=org is not None and org.access_key == access_key)


def _org(seed: int, number: int) -> Org:
    name = f"org-{number:03d}"
    identity = keyed_int(seed, "identity", name)
    secret = "".join(f"{keyed_int(seed, 'secret', name, part):016x}" for part in range(3))
    parts = (table[identity // 100**position % len(table)] for position, table in enumerate((_FIRST, _SECOND, _FORM)))
    return Org(
        name=name,
        # The number at the start makes the id unique.
        org_id=f"{1000 + number}{identity % 1000:03d}",
        display_name=" ".join(parts),
        username=f"{name}@example.test",
        access_key=f"sim-{secret[:24]}",
        token=f"sim-token-{secret[24:]}",
    )
