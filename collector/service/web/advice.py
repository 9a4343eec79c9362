"""What to do about a refused credential, as the table of docs/troubleshooting.md says it."""

from __future__ import annotations

from dataclasses import dataclass

from collector.errors import RefusalReason


@dataclass(frozen=True, slots=True)
class Advice:
    """What it is called, what it means, and what a person does."""

    title: str
    means: str
    do: str


_ADVICE = {
    RefusalReason.CREDENTIAL: Advice(
        "credential refused (401)", "user name or access key is wrong or was renewed", "correct it"
    ),
    RefusalReason.NOT_ADMIN: Advice(
        "no admin (403)", "the user may not see usage", "use an admin, or add the permission to its role"
    ),
    RefusalReason.PERMISSION: Advice(
        "permission analytics:admin missing (403)",
        "the user may not see usage",
        "use an admin, or add the permission to its role",
    ),
    RefusalReason.FORBIDDEN: Advice(
        "access forbidden",
        "for a reason that the API does not document",
        "look whether a gateway is in the way, and at the user's role",
    ),
    RefusalReason.IDENTITY: Advice(
        "another organization answers",
        "the credential belongs to another organization than the config or the ledger says",
        "correct the credential; if the organization that answers is the right one, set its id as `org_id`",
    ),
    RefusalReason.CALENDAR: Advice(
        "collected by another calendar",
        "it was collected in another zone or granularity: days would count twice",
        "set a `since` at which the new calendar begins",
    ),
    RefusalReason.DUPLICATE: Advice(
        "collected as another org", "two orgs of the config are one organization", "remove one: it would count twice"
    ),
}
_TOKEN_REFUSED = Advice("credential refused (401)", "the token is wrong, has expired or was renewed", "correct it")
# Reasons with a message that says more than the advice.
TELLING = frozenset(
    {None, RefusalReason.FORBIDDEN, RefusalReason.IDENTITY, RefusalReason.CALENDAR, RefusalReason.DUPLICATE}
)
_UNKNOWN = Advice("refused", "the API refuses this org", "look at the log")


def advice(reason: RefusalReason | None, *, of_token: bool = False) -> Advice:
    """Return what to do about a refusal, of a user's key or of a token."""
    if of_token and reason is RefusalReason.CREDENTIAL:
        return _TOKEN_REFUSED
    return _UNKNOWN if reason is None else _ADVICE[reason]
