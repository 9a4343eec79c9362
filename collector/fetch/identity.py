"""Who answers behind each credential: two orgs that turn out to be one organization would count twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from collector.errors import Failure, RefusalReason, Refused
from collector.model import Answer, Org


class Settles(Protocol):
    """Who decides whether an answer may be booked to an org."""

    async def settle(self, org: Org, answer: Answer) -> Failure | None:
        """Return why the answer must not be booked to that org, if it must not."""
        ...


@dataclass(slots=True)
class Identities:
    """The organizations met so far, each by the org of the config that it belongs to."""

    allow_same: bool = False
    _owners: dict[str, str] = field(default_factory=dict)  # org names by organization
    _settled: dict[str, str] = field(default_factory=dict)  # organizations by org name

    def remember(self, org: Org, org_id: str) -> None:
        """Note who answered for an org in an earlier run."""
        self._settled[org.name] = org_id
        self._owners.setdefault(org_id, org.name)

    async def settle(self, org: Org, answer: Answer) -> Failure | None:
        """Return why the answer must not be booked to that org, if it must not."""
        return self.check(org, answer)

    def check(self, org: Org, answer: Answer) -> Refused | None:
        """Return why the answer must not be booked to that org, if it must not."""
        known = self._settled.setdefault(org.name, answer.org_id)
        if answer.org_id not in (known, org.org_id):
            return Refused(
                reason=RefusalReason.IDENTITY,
                message=(
                    f"organization {answer.org_id!r} answers where {known!r} answered before: "
                    f"correct the credential, or set org_id: {answer.org_id!r} if it is meant"
                ),
            )
        owner = self._owners.setdefault(answer.org_id, org.name)
        if owner == org.name or self.allow_same:
            return None
        return Refused(
            reason=RefusalReason.DUPLICATE,
            message=(
                f"organization {answer.org_id!r} is already collected as {owner!r}, it would count twice: "
                "remove one of the two, or set same_organization: allow"
            ),
        )
