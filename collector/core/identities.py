"""Which organization each org's credential belongs to: two orgs of one organization would count twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from collector.errors import RefusalReason, Refused
from collector.model import Answer, BasicCredential, Org, UnreadCredential


def user_fingerprint(org: Org) -> str | None:
    """Return a hash of the credential's user and base URL; None for a token, which has no user name."""
    match org.credential:
        case BasicCredential(username=username) | UnreadCredential(username=str() as username):
            return hashlib.sha256(f"{org.base_url}\0{username}".encode()).hexdigest()
        case _:
            return None


@dataclass(slots=True)
class Identities:
    """The organizations known so far, each with the org of the config that it belongs to."""

    allow_same: bool = False
    _owners: dict[str, str] = field(default_factory=dict)  # org names by organization
    _known: dict[str, str] = field(default_factory=dict)  # organizations by org name

    def add(self, org: Org, org_id: str) -> None:
        """Add what an earlier run learned: that organization answered for that org."""
        self._known[org.name] = org_id
        self._owners.setdefault(org_id, org.name)

    def check(self, org: Org, answer: Answer) -> Refused | None:
        """Return why the answer must not be committed for that org; None if it may be."""
        known = self._known.setdefault(org.name, answer.org_id)
        if answer.org_id not in (known, org.org_id):
            return Refused(
                reason=RefusalReason.IDENTITY,
                message=(
                    f"organization {answer.org_id!r} answers where {known!r} answered before: "
                    f"correct the credential, or set org_id: {answer.org_id!r} if the new one is right"
                ),
            )
        owner = self._owners.setdefault(answer.org_id, org.name)
        if owner == org.name or self.allow_same:
            return None
        return Refused(
            reason=RefusalReason.DUPLICATE,
            message=(
                f"organization {answer.org_id!r} is already collected as {owner!r} and would count twice: "
                "remove one of the two orgs, or set same_organization: allow"
            ),
        )
