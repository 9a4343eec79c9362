"""Who answers behind each credential: two orgs that turn out to be one organization would count twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.errors import RefusalReason, Refused
from collector.model import Answer, Org


@dataclass(slots=True)
class Identities:
    """The organizations met in this run, each by the org of the config that it belongs to."""

    allow_same: bool = False
    _owners: dict[str, Org] = field(default_factory=dict)
    _settled: dict[str, str] = field(default_factory=dict)

    def check(self, org: Org, answer: Answer) -> Refused | None:
        """Return why the answer must not be booked to that org, if it must not."""
        known = self._settled.setdefault(org.name, answer.org_id)
        if known != answer.org_id:
            return Refused(
                reason=RefusalReason.IDENTITY,
                message=f"organization {answer.org_id!r} answers where {known!r} answered before in this run",
            )
        owner = self._owners.setdefault(answer.org_id, org)
        if owner is org or self.allow_same:
            return None
        return Refused(
            reason=RefusalReason.DUPLICATE,
            message=(
                f"organization {answer.org_id!r} is already collected as {owner.name!r}, it would count twice: "
                "remove one of the two, or set same_organization: allow"
            ),
        )
